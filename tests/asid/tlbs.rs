//! TLBs at their worst: each remembers all that its CPU could have walked, until it is told to forget.

use super::system::{Edit, NOBODY};

/// What happens to TLBs, and what they may do to the system.
pub trait Tlbs: Clone + Default {
    /// A CPU walks the tables of `space`, which may be [`NOBODY`], under `number`.
    fn walk(&mut self, cpu: usize, space: u8, number: u8);
    /// A CPU forgets everything.
    fn forget_all(&mut self, cpu: usize);
    /// Every CPU forgets what it knows by a number.
    fn forget(&mut self, number: u8);
    /// Descriptors of a space change: what is remembered of it is of the old ones.
    fn store(&mut self, space: u8);
    /// The change is complete: what is still remembered of old descriptors is stale.
    fn complete(&mut self);
    /// A space is gone: what is still remembered of it is stale.
    fn gone(&mut self, space: u8);
    /// Whether anything is remembered that an edit of a space would change.
    fn know(&self, space: u8) -> bool;
    /// What a CPU may use that it must not, where it runs `space` under `number`.
    fn wrong(&self, cpu: usize, space: u8, number: u8, edit: Edit) -> Option<&'static str>;
}

/// What a TLB remembers by one number.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Known {
    /// Spaces, a bit each, of which it is true.
    pub spaces: u8,
    /// What the edit that is not complete changes.
    pub old: bool,
    /// What no longer is true of anything.
    pub stale: bool,
}

impl Known {
    const STALE: Self = Self { spaces: 0, old: false, stale: true };
}

/// All TLBs, whole.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct All<const CPUS: usize, const ASIDS: usize>(pub [[Known; ASIDS]; CPUS]);

impl<const CPUS: usize, const ASIDS: usize> Default for All<CPUS, ASIDS> {
    fn default() -> Self {
        Self([[Known::default(); ASIDS]; CPUS])
    }
}

impl<const CPUS: usize, const ASIDS: usize> Tlbs for All<CPUS, ASIDS> {
    /// Of what is known of two spaces, whichever it then runs is wronged.
    fn walk(&mut self, cpu: usize, space: u8, number: u8) {
        if space == NOBODY {
            return;
        }
        let known = &mut self.0[cpu][usize::from(number)];
        known.spaces |= 1 << space;
        if known.stale || known.spaces.count_ones() > 1 {
            *known = Known::STALE;
        }
    }

    fn forget_all(&mut self, cpu: usize) {
        self.0[cpu] = [Known::default(); ASIDS];
    }

    fn forget(&mut self, number: u8) {
        self.0.iter_mut().for_each(|tlb| tlb[usize::from(number)] = Known::default());
    }

    fn store(&mut self, space: u8) {
        for known in self.0.as_flattened_mut() {
            known.old |= known.spaces >> space & 1 != 0;
            known.spaces &= !(1 << space);
        }
    }

    fn complete(&mut self) {
        for known in self.0.as_flattened_mut().iter_mut().filter(|known| known.old) {
            *known = Known::STALE;
        }
    }

    fn gone(&mut self, space: u8) {
        let knows = |known: &&mut Known| known.spaces >> space & 1 != 0;
        self.0.as_flattened_mut().iter_mut().filter(knows).for_each(|known| *known = Known::STALE);
    }

    fn know(&self, space: u8) -> bool {
        self.0.as_flattened().iter().any(|known| known.spaces >> space & 1 != 0)
    }

    fn wrong(&self, cpu: usize, space: u8, number: u8, edit: Edit) -> Option<&'static str> {
        let known = self.0[cpu][usize::from(number)];
        let own = if space == NOBODY { 0 } else { 1 << space };
        if known.stale || known.spaces & !own != 0 {
            return Some("not its space's");
        }
        (known.old && edit.space() != Some(space)).then_some("another space's")
    }
}
