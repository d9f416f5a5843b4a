//! A real Linux, translated by QEMU: `tests/data/linux-tables`.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::format::FaultKind;
use armv7a_mm::table::inspect::{Inspector, Intent, LeafKind, Regs, Request};

/// The files of one format.
struct Dump {
    regs: Regs,
    swapper: u64,
    /// Each file by its physical address.
    memory: BTreeMap<u64, Vec<u8>>,
    rows: Vec<Row>,
}

/// A row of the csv.
struct Row {
    va: u32,
    class: String,
    kernel: Option<u64>,
    user: Option<u64>,
}

fn hex(text: &str) -> u64 {
    let digits = text.trim().trim_start_matches("0x");
    u64::from_str_radix(digits, 16).unwrap_or_else(|_| panic!("not a number: {text}"))
}

impl Dump {
    fn load(format: &str) -> Self {
        let base =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/linux-tables").join(format);
        let json = fs::read_to_string(base.join("regs.json")).unwrap();
        // Every register stands as `"NAME": "0x…"`.
        let number = |name: &str| {
            let (_, rest) = json.split_once(&format!("\"{name}\": \"")).unwrap();
            hex(rest.split_once('"').unwrap().0)
        };
        let regs = Regs {
            sctlr: number("SCTLR") as u32,
            ttbcr: number("TTBCR") as u32,
            ttbr0: number("TTBR0"),
            ttbr1: number("TTBR1"),
            dacr: number("DACR") as u32,
            mair0: number("MAIR0") as u32,
            mair1: number("MAIR1") as u32,
            id_mmfr0: number("ID_MMFR0") as u32,
        };
        let swapper = number("swapper_pg_dir_pa");
        let csv = fs::read_to_string(base.join("gva2gpa.csv")).unwrap();
        let rows = csv.lines().skip(1).map(Row::parse).collect();
        let memory = fs::read_dir(base.join("tables")).unwrap().map(|file| {
            let path: PathBuf = file.unwrap().path();
            (hex(path.file_stem().unwrap().to_str().unwrap()), fs::read(&path).unwrap())
        });
        Self { regs, swapper, memory: memory.collect(), rows }
    }

    fn read(&self, at: PhysAddr) -> Option<u32> {
        let (base, bytes) = self.memory.range(..=at.as_u64()).next_back()?;
        let offset = usize::try_from(at.as_u64() - base).ok()?;
        let word = bytes.get(offset..offset + 4)?;
        Some(u32::from_le_bytes(word.try_into().ok()?))
    }

    fn with(&self, regs: Regs) -> Inspector<impl Fn(PhysAddr) -> Option<u32>> {
        Inspector::new(regs, |at| self.read(at))
    }

    /// QEMU's answers, row by row.
    fn check(&self) {
        let machine = self.with(self.regs);
        for row in &self.rows {
            for (user, wanted) in [(false, row.kernel), (true, row.user)] {
                let request = Request { user, intent: Intent::Read };
                let answer = machine.translate(VirtAddr(row.va), request);
                if let Err(fault) = answer {
                    let seen = matches!(
                        fault.kind,
                        FaultKind::Translation | FaultKind::Permission | FaultKind::Domain
                    );
                    assert!(seen, "{:#x} {}: {fault}", row.va, row.class);
                    assert!(fault.range.contains(VirtAddr(row.va)));
                }
                let pa = answer.ok().map(|a| a.pa.as_u64());
                assert_eq!(pa, wanted, "{:#x} {} user {user}", row.va, row.class);
            }
        }
    }

    /// How many leaves of a kind there are from `root`.
    fn count(&self, regs: Regs, kind: LeafKind) -> usize {
        self.with(regs).leaves().filter(|leaf| leaf.kind == kind).count()
    }

    /// The drawing and the rows agree on what is mapped where.
    fn check_regions(&self) {
        let machine = self.with(self.regs);
        let regions: Vec<_> = machine.regions().collect();
        for pair in regions.windows(2) {
            assert!(pair[0].range.last() < pair[1].range.start());
        }
        let leaves = machine.leaves().count();
        assert!(regions.len() * 10 < leaves, "{} regions of {leaves} leaves", regions.len());
        for row in self.rows.iter().filter(|row| row.kernel.is_some()) {
            let va = VirtAddr(row.va);
            let mut holders = regions.iter().filter_map(|region| region.locate(va));
            assert_eq!(holders.next().map(PhysAddr::as_u64), row.kernel, "{va}");
            assert_eq!(holders.next(), None, "{va}");
        }
    }
}

impl Row {
    fn parse(line: &str) -> Self {
        let mut fields = line.split(',');
        let mut field = || fields.next().unwrap();
        let (va, class) = (hex(field()) as u32, field().to_string());
        let mut pa = || Some(field()).filter(|&text| text != "unmapped").map(hex);
        Self { va, class, kernel: pa(), user: pa() }
    }
}

#[test]
fn classic_as_qemu() {
    let dump = Dump::load("classic");
    assert_eq!(dump.rows.len(), 2312);
    dump.check();
    dump.check_regions();
}

#[test]
fn lpae_as_qemu() {
    let dump = Dump::load("lpae");
    assert_eq!(dump.rows.len(), 2345);
    dump.check();
    dump.check_regions();
}

/// The numbers of descriptors in regs.json.
#[test]
fn classic_leaves_by_kind() {
    let dump = Dump::load("classic");
    let swapper = Regs { ttbr0: dump.swapper, ..dump.regs };
    assert_eq!(dump.count(swapper, LeafKind::Section), 114);
    assert_eq!(dump.count(swapper, LeafKind::SmallPage), 3 + 11499);
    assert_eq!(dump.count(dump.regs, LeafKind::Section), 114);
    assert_eq!(dump.count(dump.regs, LeafKind::SmallPage), 55 + 11980);
}

/// The numbers of descriptors in regs.json: swapper's whole tree by TTBR0 alone, the user's by both.
#[test]
fn lpae_leaves_by_kind() {
    let dump = Dump::load("lpae");
    let swapper = Regs { ttbr0: dump.swapper, ttbcr: 1 << 31, ..dump.regs };
    assert_eq!(dump.count(swapper, LeafKind::Block2M), 58);
    assert_eq!(dump.count(swapper, LeafKind::Page), 11775);
    assert_eq!(dump.count(dump.regs, LeafKind::Block2M), 58);
    assert_eq!(dump.count(dump.regs, LeafKind::Page), 12308);
}

/// Privileged access never: with DACR = 0x51, as in Linux's kernel mode, user pages are closed to both
/// levels by a domain fault, and the kernel's are as before.
#[test]
fn classic_in_kernel_mode() {
    let dump = Dump::load("classic");
    let machine = dump.with(Regs { dacr: 0x51, ..dump.regs });
    let mut closed = 0;
    for row in dump.rows.iter().filter(|row| row.kernel.is_some()) {
        let answer = machine.translate(VirtAddr(row.va), Request::kernel(Intent::Read));
        if row.user.is_some() && row.va < 0xc000_0000 {
            assert_eq!(answer.unwrap_err().kind, FaultKind::Domain, "{:#x}", row.va);
            closed += 1;
        } else {
            assert_eq!(answer.ok().map(|a| a.pa.as_u64()), row.kernel, "{:#x}", row.va);
        }
    }
    assert!(closed > 100, "{closed} user pages");
}

/// No page of the dump is missing: Linux's walks never leave the files.
#[test]
fn no_walk_leaves_the_dump() {
    for format in ["classic", "lpae"] {
        let dump = Dump::load(format);
        let mut spans = dump.with(dump.regs).spans().filter_map(Result::err).collect::<Vec<_>>();
        spans.retain(|fault| fault.kind != FaultKind::Translation);
        assert_eq!(spans, [], "{format}");
    }
}
