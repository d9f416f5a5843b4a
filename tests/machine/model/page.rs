//! One page as the kernel means it, and whether what a CPU found is that.

use std::collections::BTreeMap;

use armv7a_mm::attr::{Access, Attrs};

use crate::machine::decoders::{memory, share};
use crate::machine::fault::Cause;
use crate::machine::leaf::{Allowed, Leaf};
use crate::machine::violation::Found;

/// Where a page lies and what may be done with it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Page {
    pub phys: u64,
    pub attrs: Attrs,
}

/// Pages by number, which is the address without its low 12 bits.
pub type Map = BTreeMap<u32, Page>;

/// What is closed to privileged execution, although its access would allow it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pxn {
    Nothing,
    /// What user mode may use: leaves have a bit of their own.
    OfUsers,
    /// That, and every page: in the classic format the bit is their table's, sections have one (DDI 0406C B3.5.1).
    OfTables,
}

impl Pxn {
    fn closes(self, attrs: &Attrs, leaf: &Leaf) -> bool {
        match self {
            Self::Nothing => false,
            Self::OfUsers => attrs.user,
            Self::OfTables => attrs.user || leaf.shift < 20,
        }
    }
}

/// Whether `found` is what an access to `va` should come to.
pub fn agrees(found: &Found, page: Option<&Page>, va: u32, pxn: Pxn) -> bool {
    let fault = match page {
        None => Some(Cause::Translation),
        Some(page) if page.attrs.access == Access::None => Some(Cause::Translation),
        Some(page) if !page.attrs.young => Some(Cause::AccessFlag),
        Some(_) => None,
    };
    match (found, page, fault) {
        (Found::Fault(status), _, Some(cause)) => status.cause == cause,
        (Found::Hit(phys, leaf), Some(page), None) => {
            let attrs = &page.attrs;
            let write = attrs.access == Access::ReadWrite;
            let execute = attrs.access == Access::ReadExecute;
            let kernel =
                Allowed { read: true, write, execute: execute && !pxn.closes(attrs, leaf) };
            let user = Allowed {
                read: attrs.user,
                write: attrs.user && write,
                execute: attrs.user && execute,
            };
            // Device memory is shareable whatever its descriptor says (A3.5.7).
            let shared = !attrs.memory.is_normal() || leaf.share == share(attrs.share);
            *phys == page.phys | u64::from(va & 0xFFF)
                && leaf.kernel == kernel
                && leaf.user == user
                && leaf.global == attrs.global
                && leaf.memory == memory(attrs.memory)
                && shared
        }
        _ => false,
    }
}
