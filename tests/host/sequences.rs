//! Random sequences of edits against a plain model: every result, every page, every table, in pgds and in
//! swapper before and after it is sealed (B39, B46, B68).

use crate::support::audit::assert_same;
use crate::support::kernel::*;
use crate::support::model::{Model, assert_whole_runs};
use crate::support::random::Random;
use crate::support::*;
use armv7a_mm::table::flush::Flush;
use armv7a_mm::table::walk;

both_formats!(
    b39_b68_user_half,
    b39_b68_kernel_half,
    b68_kernel_half_sealed,
    b68_two_pgds_and_swapper,
    debts_of_three_spaces,
);

/// Where a pgd is edited: from FIRST_USER_ADDRESS, across a root entry's border, up to TASK_SIZE.
const USER: [(u32, u32); 3] =
    [(0x2000, 0x40_0000), (0x3FC0_0000, 0x4080_0000), (0xBE80_0000, 0xBF00_0000)];

/// Where swapper is: the window next to user space, room for the largest runs, the top of the address space.
const KERNEL: [(u32, u32); 3] =
    [(0xBF00_0000, 0xBF80_0000), (0xD100_0000, 0xD480_0000), (0xFFC0_0000, 0)];

const ACCESS: [Access; 4] = Access::ALL;
const MEMORY: [MemoryType; 3] =
    [MemoryType::WriteBackWriteAllocate, MemoryType::NonCacheable, MemoryType::WriteThrough];

/// What to do next.
#[derive(Clone, Copy, Debug)]
enum Step {
    Map { range: VirtRange, to: u64, attrs: Attrs, sizes: LeafSizes },
    Unmap(VirtRange),
    Protect(VirtRange, Access),
}

impl Step {
    /// A step in one of the zones. Lengths and alignments of every leaf come up.
    fn any(random: &mut Random, zones: &[(u32, u32)], base: Attrs, model: &Model) -> Self {
        let zone = random.pick(zones);
        let zone = range(zone.0, zone.1);
        let shift = random.pick(&[12, 12, 12, 16, 16, 20, 21, 24, 25]);
        let pages = (zone.bytes() / u64::from(PAGE_SIZE)) as u32;
        let start = VirtAddr(zone.start().0 + random.below(pages) * PAGE_SIZE)
            .align_down(shift)
            .max(zone.start());
        let bytes = u64::from(1 + random.below(20)) << random.pick(&[12, 12, shift, shift.min(21)]);
        let last = start.0.saturating_add((bytes - 1).min(u64::from(u32::MAX)) as u32);
        let range = VirtRange::inclusive(start, VirtAddr(last)).unwrap();
        let range = range.intersection(zone).unwrap();
        // What is mapped without a hole, where an edit has a chance to succeed.
        let mapped = model.stretch(range);
        match random.below(20) {
            0..9 => {
                // Congruent to the address, but for what is taken away.
                let skew = random.pick(&[0, 0, 0, 0, 0x1000, 0x1_0000, 0x10_0000, 0x20_0000]);
                let to = u64::from(range.start().0 & 0x0FFF_FFFF) + 0x4000_0000 + skew;
                // In the user half there is also what is the kernel's alone, code included.
                let user = base.user && random.below(4) != 0;
                let attrs = Attrs { user, ..base };
                let attrs =
                    attrs.with_access(random.pick(&ACCESS)).with_memory(random.pick(&MEMORY));
                let sizes = LeafSizes::from_bits_truncate(random.pick(&[3, 3, 3, 0, 1, 2]));
                Self::Map { range, to, attrs, sizes }
            }
            9 => Self::Unmap(range),
            10 => Self::Protect(range, random.pick(&ACCESS)),
            11..16 => Self::Unmap(mapped),
            _ => Self::Protect(mapped, random.pick(&ACCESS)),
        }
    }

    fn range(self) -> VirtRange {
        match self {
            Self::Map { range, .. } | Self::Unmap(range) | Self::Protect(range, _) => range,
        }
    }

    fn kind(self) -> usize {
        match self {
            Self::Map { .. } => 0,
            Self::Unmap(_) => 1,
            Self::Protect(..) => 2,
        }
    }

    /// Does it.
    fn apply<'m, F: Format>(self, tree: &mut impl Edit<'m, F>) -> Done {
        match self {
            Self::Map { range, to, attrs, sizes } => tree.map_at(range, to, attrs, sizes),
            Self::Unmap(range) => tree.unmap_now(range),
            Self::Protect(range, access) => tree.protect_now(range, access),
        }
    }

    /// Does it to the model: what should come of it. The model does not know which leaf is in the way.
    fn predict(self, model: &mut Model) -> Done {
        if let Self::Map { range, to, attrs, .. } = self {
            let by = Entry::Absent;
            return model.map(range, to, attrs).map_err(|at| EditError::Mapped { at, by });
        }
        if let Some(at) = model.hole(self.range()) {
            return Err(EditError::NotMapped { at });
        }
        match self {
            Self::Protect(range, access) => model.modify(range, |attrs| attrs.with_access(access)),
            _ => model.clear(self.range()),
        }
        Ok(())
    }
}

/// A tree under test: where it is edited and what should be in it.
struct Run {
    root: PhysAddr,
    zones: &'static [(u32, u32)],
    base: Attrs,
    model: Model,
    /// Maps, unmaps and protects that succeeded.
    done: [usize; 3],
}

impl Run {
    fn new(root: PhysAddr, zones: &'static [(u32, u32)], base: Attrs) -> Self {
        Self { root, zones, base, model: Model::default(), done: [0; 3] }
    }

    /// One random edit of `tree`; one in eight with an allocation that fails, if it comes to it.
    fn step<'m, F: Format>(
        &mut self,
        host: &'m Host<F>,
        tree: &mut impl Edit<'m, F>,
        random: &mut Random,
    ) {
        let step = Step::any(random, self.zones, self.base, &self.model);
        let scarce = random.below(8) == 0;
        let before = scarce.then(|| host.snapshot());
        host.fail_after(scarce.then(|| random.below(3) as usize));
        let done = step.apply(tree);
        host.fail_after(None);
        if let (Err(EditError::OutOfMemory), Some(before)) = (done, before) {
            return assert_same(&host.snapshot(), &before);
        }
        let wanted = step.predict(&mut self.model);
        let done = done.map_err(|error| match error {
            EditError::Mapped { at, by: Entry::Leaf(_) } => {
                EditError::Mapped { at, by: Entry::Absent }
            }
            other => other,
        });
        assert_eq!(done, wanted, "{step:?}");
        self.done[step.kind()] += usize::from(done.is_ok());
        let pure = matches!(step, Step::Map { .. }) || done.is_err();
        let flushed = host.take_log().iter().any(|op| op.is_tlbi());
        assert_eq!(flushed, !pure, "{step:?}");
        let touched = step.range();
        self.model.assert_read(host, self.root, touched);
    }

    /// Everything, in every zone.
    fn check<F: Format>(&self, host: &Host<F>) {
        for &(start, end) in self.zones {
            self.model.assert_read(host, self.root, range(start, end));
        }
        assert_whole_runs(host, self.root);
    }

    /// Of the steps of each kind enough came to something, else nothing was tested.
    fn assert_productive(&self, steps: usize) {
        assert!(self.done.iter().all(|&done| done > steps / 20), "{:?}", self.done);
    }
}

const STEPS: usize = 6000;
const USER_DATA: Attrs = Attrs::user(Access::ReadWrite);
const KERNEL_DATA: Attrs = Attrs::kernel(Access::ReadWrite);

/// Whatever kernel code lies beside it, the kernel executes nothing of user space's: the leaf says so, or the
/// entry above it. Says how many pages of kernel code there are.
fn assert_closed<F: Format>(pgd: &Pgd<'_, F, Host<F>>, model: &Model) -> usize {
    let mut code = 0;
    for (&page, (_, attrs)) in &model.0 {
        let va = VirtAddr(page * PAGE_SIZE);
        let closed = walk::trace(&pgd.node(), va).any(|step| match step.entry {
            Entry::Leaf(leaf) => leaf.pxn,
            Entry::Table(table) => table.pxn,
            Entry::Absent | Entry::Reserved => panic!("{va} is not mapped"),
        });
        match (attrs.user, attrs.access) {
            (true, Access::None) => {}
            (true, _) => assert!(closed, "{va} is open to the kernel"),
            (false, access) => code += usize::from(access == Access::ReadExecute),
        }
    }
    code
}

fn b39_b68_user_half<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = swapper(&host, &layout);
    let mut pgd = pgd(&host, &mut swapper);
    let born = host.counts();
    let mut random = Random::new(1);
    let mut run = Run::new(pgd.root(), &USER, USER_DATA);
    let mut code = 0;
    for step in 0..STEPS {
        run.step(&host, &mut pgd, &mut random);
        if step % 100 == 0 {
            run.check(&host);
            host.audit(swapper.root(), &[pgd.root()]);
            host.assert_no_empty_table(pgd.root());
            code += assert_closed(&pgd, &run.model);
        }
    }
    run.assert_productive(STEPS);
    assert!(code > STEPS / 20, "{code} pages of kernel code");
    pgd.clear_now(layout.user()).unwrap();
    assert_eq!(host.counts(), born);
    free(&host, pgd);
    host.audit(swapper.root(), &[]);
}

fn b39_b68_kernel_half<F: Format>() {
    check_kernel::<F>(2, false);
}

fn b68_kernel_half_sealed<F: Format>() {
    check_kernel::<F>(3, true);
}

fn check_kernel<F: Format>(seed: u64, sealed: bool) {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    if sealed {
        swapper.seal().unwrap();
    }
    let mut random = Random::new(seed);
    let mut run = Run::new(swapper.root(), &KERNEL, KERNEL_DATA);
    for step in 0..STEPS {
        run.step(&host, &mut swapper, &mut random);
        if step % 100 == 0 {
            run.check(&host);
            host.audit(swapper.root(), &[]);
        }
    }
    run.assert_productive(STEPS);
}

/// Three trees that share tables; faults bring what swapper maps into the pgds.
fn b68_two_pgds_and_swapper<F: Format>() {
    let (host, layout) = (Host::<F>::new(), linux());
    let mut swapper = empty_swapper(&host, &layout);
    let mut pgds = [pgd(&host, &mut swapper), pgd(&host, &mut swapper)];
    let mut runs = pgds.each_ref().map(|pgd| Run::new(pgd.root(), &USER, USER_DATA));
    let mut kernel = Run::new(swapper.root(), &KERNEL, KERNEL_DATA);
    let mut random = Random::new(4);
    for step in 0..STEPS {
        match random.below(3) {
            0 => kernel.step(&host, &mut swapper, &mut random),
            n => runs[n as usize - 1].step(&host, &mut pgds[n as usize - 1], &mut random),
        }
        if step % 200 != 0 {
            continue;
        }
        for (pgd, run) in pgds.iter().zip(&runs) {
            for &page in kernel.model.0.keys().step_by(64) {
                let va = page * PAGE_SIZE;
                touch(&swapper, pgd, va);
                assert_eq!(pgd.translate(VirtAddr(va)), swapper.translate(VirtAddr(va)));
            }
            run.check(&host);
        }
        kernel.check(&host);
        host.audit(swapper.root(), &pgds.each_ref().map(Pgd::root));
    }
    for (pgd, run) in pgds.into_iter().zip(&runs) {
        run.assert_productive(STEPS / 3);
        free(&host, pgd);
    }
    kernel.assert_productive(STEPS / 3);
    host.audit(swapper.root(), &[]);
    kernel.check(&host);
}

/// Debts that are put off and merged, whole tables with all below among them.
fn debts_of_three_spaces<F: Format>() {
    for seed in 0..20 {
        let mut random = Random::new(seed);
        let (host, layout) = (Host::<F>::new(), linux());
        let mut swapper = swapper(&host, &layout);
        let mut pgds = [(); 3].map(|()| pgd(&host, &mut swapper));
        let none = host.counts();
        for (pgd, n) in pgds.iter_mut().zip(1..) {
            // SAFETY: the host's TLBs are told of every address space.
            unsafe { pgd.set_asid(Some(Asid(n))) };
        }
        let mut debt: Option<Flush<'_, F, Host<F>>> = None;
        for _ in 0..60 {
            let other = random.below(500);
            let block = random.pick(&[0, 1, 2, 511, other]);
            let at = VirtAddr(random.below(3) << 30 | block << 21);
            let whole = VirtRange::aligned(at, random.pick(&[12, 12, 21, 30]));
            let Some(range) = whole.intersection(layout.user()) else { continue };
            let pgd = &mut pgds[random.below(3) as usize];
            match random.below(5) {
                // Nothing is mapped near what is owed.
                0..3 if debt.is_none() && range.bytes() < 1 << 30 => {
                    let attrs = Attrs::user(Access::ReadWrite);
                    let _ =
                        pgd.map_at(range, u64::from(range.start().0), attrs, LeafSizes::LARGEST);
                }
                3 => match (&mut debt, pgd.clear_late(range).unwrap()) {
                    (Some(_), late) if random.below(2) == 0 => late.pay(),
                    (Some(debt), late) => debt.merge(late),
                    (none, late) => *none = Some(late),
                },
                _ => {
                    debt = None;
                    host.audit(swapper.root(), &pgds.each_ref().map(Pgd::root));
                }
            }
        }
        drop(debt);
        for pgd in &mut pgds {
            pgd.clear_now(layout.user()).unwrap();
        }
        assert_eq!(host.counts(), none);
        pgds.into_iter().for_each(|pgd| free(&host, pgd));
        host.audit(swapper.root(), &[]);
    }
}
