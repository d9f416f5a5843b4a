//! How the address space is shared between TTBR0 and TTBR1 (DDI 0406C B3.5.4, B3.6.4): data, a row for each way.

use super::{Classic, Format, Level, Lpae};
use crate::addr::VirtAddr;

/// One way to share the address space: TTBR0 translates below the border, TTBR1 from there to the top.
///
/// TTBR1 walks swapper's own tables, so a pgd holds nothing of what lies above the border.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Split {
    /// The first address that TTBR1 translates.
    pub border: VirtAddr,
    /// What TTBCR holds: N with short descriptors, T1SZ with long ones. 1 to 7.
    pub size: u32,
    /// The geometry of a root that serves below the border alone.
    pub root: Level,
    /// The depth, in swapper's tree, of the table that a walk by TTBR1 reads first.
    pub depth: usize,
}

impl Split {
    /// The one of `splits`, which stand in the order of their sizes from 1 on, with its border at `border`.
    pub const fn find(splits: &'static [Self], border: u32) -> Option<&'static Self> {
        // N halvings of all from the bottom leave N − 1 zeroes in front, T1SZ from the top as many ones.
        let (below, above) = (border.leading_zeros(), border.leading_ones());
        let index = if above > below { above - 1 } else { below } as usize;
        if index < splits.len() && splits[index].border.0 == border {
            Some(&splits[index])
        } else {
            None
        }
    }

    /// Whether any format can share the address space at `border`.
    pub const fn exists(border: u32) -> bool {
        Self::find(Classic::SPLITS, border).is_some() || Self::find(Lpae::SPLITS, border).is_some()
    }

    /// The last address that TTBR0 translates.
    pub const fn last(&self) -> VirtAddr {
        VirtAddr(self.border.0 - 1)
    }
}
