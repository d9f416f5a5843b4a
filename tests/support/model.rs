//! What should be mapped, page by page, in the plainest way; and what is, read from the tables with no help
//! from the library's walker.

use std::collections::BTreeMap;

use super::{Attrs, Entry, Format, Host, Layout, PAGE_SIZE, PhysAddr, VirtAddr, VirtRange};
use armv7a_mm::format::{Level, RUN, Runs};

/// A page's number.
pub type Page = u32;
/// Where a page lies and what may be done with it.
pub type Mapping = (u64, Attrs);

/// Every page that is mapped.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Model(pub BTreeMap<Page, Mapping>);

/// The pages of a range.
pub fn pages(range: VirtRange) -> std::ops::RangeInclusive<Page> {
    range.start().0 / PAGE_SIZE..=range.last().0 / PAGE_SIZE
}

/// The start of a page.
fn start(page: Page) -> VirtAddr {
    VirtAddr(page * PAGE_SIZE)
}

impl Model {
    /// Maps a range, or names the first page that is mapped already.
    pub fn map(&mut self, range: VirtRange, to: u64, attrs: Attrs) -> Result<(), VirtAddr> {
        if let Some((&page, _)) = self.0.range(pages(range)).next() {
            return Err(start(page));
        }
        let frames = (to..).step_by(PAGE_SIZE as usize);
        self.0.extend(pages(range).zip(frames).map(|(page, frame)| (page, (frame, attrs))));
        Ok(())
    }

    /// The first page of a range that is not mapped.
    pub fn hole(&self, range: VirtRange) -> Option<VirtAddr> {
        pages(range).find(|page| !self.0.contains_key(page)).map(start)
    }

    /// The first stretch of a range that is mapped without a hole; the range itself if there is none.
    pub fn stretch(&self, range: VirtRange) -> VirtRange {
        let Some((&first, _)) = self.0.range(pages(range)).next() else { return range };
        let end = *pages(range).end();
        let last = (first..=end).take_while(|page| self.0.contains_key(page)).last().unwrap();
        VirtRange::page(start(first)).hull(VirtRange::page(start(last)))
    }

    /// Unmaps what is mapped of a range.
    pub fn clear(&mut self, range: VirtRange) {
        for page in pages(range) {
            self.0.remove(&page);
        }
    }

    /// Changes the attributes of what is mapped of a range.
    pub fn modify(&mut self, range: VirtRange, change: impl Fn(Attrs) -> Attrs) {
        for (_, (_, attrs)) in self.0.range_mut(pages(range)) {
            *attrs = change(*attrs);
        }
    }

    /// What is mapped of a range.
    pub fn part(&self, range: VirtRange) -> Self {
        Self(self.0.range(pages(range)).map(|(&page, &mapping)| (page, mapping)).collect())
    }

    /// What the tables below `root` map of a range.
    pub fn read<F: Format>(host: &Host<F>, root: PhysAddr, range: VirtRange) -> Self {
        let mut model = Self::default();
        model.read_table(host, root.as_u64(), 0, VirtAddr(0), range);
        model
    }

    /// What an address space maps of a range: its own tables what TTBR0 translates, swapper's the rest.
    pub fn read_space<F: Format>(
        host: &Host<F>,
        [swapper, pgd]: [PhysAddr; 2],
        layout: &Layout,
        range: VirtRange,
    ) -> Self {
        let mut model = Self::default();
        let last = layout.pgd_last::<F>();
        let below = VirtRange::inclusive(VirtAddr(0), last).unwrap();
        if let Some(part) = range.intersection(below) {
            model.read_table(host, pgd.as_u64(), 0, VirtAddr(0), part);
        }
        if let Some(first) = last.0.checked_add(1)
            && let Some(part) = range.intersection(from(first))
        {
            model.read_table(host, swapper.as_u64(), 0, VirtAddr(0), part);
        }
        model
    }

    fn read_table<F: Format>(
        &mut self,
        host: &Host<F>,
        table: u64,
        depth: usize,
        base: VirtAddr,
        range: VirtRange,
    ) {
        let level = &F::LEVELS[depth];
        let whole = VirtRange::new(base, u64::from(level.span()) * level.entries() as u64).unwrap();
        let Some(part) = whole.intersection(range) else { return };
        let indices = level.index(part.start())..level.index(part.last()) + 1;
        let entries = host.entries_at(table, depth, indices.clone());
        for (index, entry) in indices.zip(entries) {
            let span = level.entry_span(base, index);
            let Some(part) = span.intersection(range) else { continue };
            match entry {
                Entry::Table(entry) => {
                    self.read_table(host, entry.table.as_u64(), depth + 1, span.start(), range);
                }
                Entry::Leaf(leaf) => {
                    let frame = leaf.frame.as_u64() + in_run(level, leaf.run, index);
                    let at = |page| frame + u64::from(start(page).0 - span.start().0);
                    self.0.extend(pages(part).map(|page| (page, (at(page), leaf.attrs))));
                }
                Entry::Absent | Entry::Reserved => {}
            }
        }
    }

    /// Asserts that the tables map what the model says, neither more nor less.
    #[track_caller]
    pub fn assert_read<F: Format>(&self, host: &Host<F>, root: PhysAddr, range: VirtRange) {
        self.part(range).assert_same(&Self::read(host, root, range), range);
    }

    /// Asserts that `real` is this model.
    #[track_caller]
    pub fn assert_same(&self, real: &Self, range: VirtRange) {
        if real == self {
            return;
        }
        for page in pages(range) {
            assert_eq!(real.0.get(&page), self.0.get(&page), "at {}", start(page));
        }
    }
}

/// All from `first` on.
fn from(first: u32) -> VirtRange {
    VirtRange::inclusive(VirtAddr(first), VirtAddr::MAX).unwrap()
}

/// How far behind the frame in its word a leaf's memory lies.
fn in_run(level: &Level, run: bool, index: usize) -> u64 {
    match level.runs {
        Some(Runs::Identical) if run => ((index % RUN) as u64) << level.shift,
        _ => 0,
    }
}

/// Asserts that what looks like a run is one: sixteen aligned leaves that agree in all but the step.
#[track_caller]
pub fn assert_whole_runs<F: Format>(host: &Host<F>, root: PhysAddr) {
    check_runs(host, root.as_u64(), 0);
}

fn check_runs<F: Format>(host: &Host<F>, table: u64, depth: usize) {
    let level = &F::LEVELS[depth];
    let entries = host.entries(table, depth);
    for (start, run) in entries.chunks(RUN).enumerate() {
        if !run.iter().any(|entry| matches!(entry, Entry::Leaf(leaf) if leaf.run)) {
            continue;
        }
        let Entry::Leaf(first) = run[0] else { panic!("a run starts with {:?}", run[0]) };
        for (index, entry) in run.iter().enumerate() {
            let step = match level.runs {
                Some(Runs::Stepping) => (index as u64) << level.shift,
                _ => 0,
            };
            let Entry::Leaf(leaf) = entry else { panic!("a run of {start} holds {entry:?}") };
            assert_eq!(leaf.frame.as_u64(), first.frame.as_u64() + step);
            assert_eq!((leaf.attrs, leaf.run, leaf.pxn), (first.attrs, first.run, first.pxn));
        }
        let size = level.shift + RUN.trailing_zeros();
        assert!(first.frame.is_aligned(size), "a run's memory is not aligned");
    }
    for entry in entries {
        if let Entry::Table(entry) = entry {
            check_runs(host, entry.table.as_u64(), depth + 1);
        }
    }
}
