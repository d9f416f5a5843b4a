//! Planning an edit: what is in the way, and how many tables it takes.

use crate::addr::{PhysAddr, VirtAddr};
use crate::format::Format;
use crate::table::error::EditError;
use crate::table::mem::{Machine, OutOfMemory};
use crate::table::node::MAX_LEVELS;
use crate::table::reserve::{self, Need, Reserve};

/// What is found out about an edit before it changes anything.
pub(super) struct Plan {
    /// The tables it takes.
    pub(super) need: Need,
    /// The last table that [`table`](Self::table) counted, by depth.
    last: [Option<VirtAddr>; MAX_LEVELS],
    /// Why it was refused, if it was; else there can only be too few tables.
    pub(super) why: EditError,
}

/// An edit was refused: its [`Plan`] knows why.
pub(super) struct Refused;

impl Plan {
    pub(super) fn new() -> Self {
        Self { need: Need::default(), last: Default::default(), why: EditError::OutOfMemory }
    }

    /// Counts the table at `depth` for the addresses from `start` on: once, if it is asked for several times in a row.
    #[inline(never)]
    pub(super) fn table(&mut self, depth: usize, start: VirtAddr) {
        let Some(last) = self.last.get_mut(depth) else { return };
        if last.replace(start) != Some(start) {
            reserve::add(&mut self.need, depth, 1);
        }
    }

    /// Refuses the edit.
    #[inline]
    pub(super) fn refuse<T>(&mut self, why: EditError) -> Result<T, Refused> {
        self.why = why;
        Err(Refused)
    }
}

impl From<OutOfMemory> for Refused {
    fn from(OutOfMemory: OutOfMemory) -> Self {
        Self
    }
}

/// What a walk that is made twice is made for.
pub(super) enum Pass<'r, 'm, F: Format, M: Machine> {
    /// To find what is in the way and to count tables: nothing is written.
    Plan(&'r mut Plan),
    /// To do what was planned, with the tables that were counted.
    Commit(&'r mut Reserve<'m, F, M>),
}

impl<F: Format, M: Machine> Pass<'_, '_, F, M> {
    /// A table for `depth`, with any content, if this is the time.
    #[inline]
    pub(super) fn take(&mut self, depth: usize) -> Option<PhysAddr> {
        match self {
            Self::Plan(plan) => {
                reserve::add(&mut plan.need, depth, 1);
                None
            }
            Self::Commit(reserve) => reserve.take(depth),
        }
    }

    /// Refuses the edit.
    #[inline]
    pub(super) fn refuse(&mut self, why: EditError) -> Result<(), Refused> {
        match self {
            Self::Plan(plan) => plan.refuse(why),
            Self::Commit(_) => {
                debug_assert!(false, "the plan refused nothing");
                Err(Refused)
            }
        }
    }
}
