//! Descriptors and register values worked out by hand from the Arm ARM (DDI 0406C), independent of the
//! encoder: each word is the sum of the fields that its comment names, in the order of the manual's drawing.

use crate::support::*;
use armv7a_mm::attr::Marks;
use armv7a_mm::format::control::Registers;

const KERNEL_RW: Attrs = Attrs::kernel(Access::ReadWrite);
const KERNEL_RX: Attrs = Attrs::kernel(Access::ReadExecute);
const KERNEL_R: Attrs = Attrs::kernel(Access::Read);
const KERNEL_NONE: Attrs = Attrs::kernel(Access::None);
const USER_RW: Attrs = Attrs::user(Access::ReadWrite);
const USER_RX: Attrs = Attrs::user(Access::ReadExecute);
const DEVICE: Attrs = Attrs::device();
const ALONE: Attrs = Attrs { share: Shareability::Non, ..KERNEL_RW };

/// An early leaf is what the kernel's data is mapped by, but that it executes.
fn an_early_leaf<F: Registers>() {
    let depth = F::LEVELS.len() - 2;
    let data = F::encode(depth, leaf(0, KERNEL_RW)).unwrap().as_u64();
    let never = if F::LPAE { 1 << 54 } else { 1 << 4 };
    assert_eq!(u64::from(F::EARLY_LEAF), data & !never);
    assert_eq!(data & never, never);
}

#[test]
fn early_leaves() {
    an_early_leaf::<Classic>();
    an_early_leaf::<Lpae>();
}

/// Writable, and nothing has been written since it was cleaned.
const CLEAN: Attrs = Attrs { marks: Marks::WRITE, ..KERNEL_R };
/// Written, and no longer writable.
const DIRTY: Attrs = Attrs { marks: Marks::DIRTY, ..KERNEL_R };

fn of(memory: MemoryType) -> Attrs {
    KERNEL_RW.with_memory(memory)
}

fn leaf(frame: u64, attrs: Attrs) -> Entry {
    Entry::Leaf(Leaf { frame: phys(frame), attrs, run: false, pxn: false })
}

fn pxn_leaf(frame: u64, attrs: Attrs) -> Entry {
    Entry::Leaf(Leaf { frame: phys(frame), attrs, run: false, pxn: true })
}

fn run_leaf(frame: u64, attrs: Attrs) -> Entry {
    Entry::Leaf(Leaf { frame: phys(frame), attrs, run: true, pxn: false })
}

fn table(at: u64, owner: Owner, pxn: bool) -> Entry {
    Entry::Table(TableEntry { table: phys(at), owner, pxn })
}

/// Both directions of each row, at one depth.
#[track_caller]
fn check<F: Format>(depth: usize, rows: &[(u64, Entry)]) {
    for &(word, entry) in rows {
        assert_eq!(F::decode(depth, F::Raw::from_u64(word)), entry, "{word:#x}");
        assert_eq!(F::encode(depth, entry).map(Descriptor::as_u64), Ok(word), "{entry:?}");
    }
}

/// First-level descriptors, B3.5.1 figure "Short-descriptor first-level descriptor formats":
/// base 31:20, NS 19, 0 at 18, nG 17, S 16, AP\[2\] 15, TEX 14:12, AP\[1:0\] 11:10, 9, domain 8:5, XN 4, C 3,
/// B 2, 1 at 1, PXN 0. AP\[0\] is the access flag (B3.7.1, AFE = 1); {TEX\[0\], C, B} is the memory index
/// (B3.8.3, TRE = 1).
#[test]
fn r22_classic_sections() {
    use MemoryType::*;
    check::<Classic>(
        0,
        &[
            // base + S + TEX[0] + AF + XN + C + B + section
            (
                0x8010_0000 + 0x1_0000 + 0x1000 + 0x400 + 0x10 + 8 + 4 + 2,
                leaf(0x8010_0000, KERNEL_RW),
            ),
            // … + AP[2], without XN
            (
                0x8010_0000 + 0x1_0000 + 0x8000 + 0x1000 + 0x400 + 8 + 4 + 2,
                leaf(0x8010_0000, KERNEL_RX),
            ),
            (0x8011_941E, leaf(0x8010_0000, KERNEL_R)),
            // nG + S + TEX[0] + AP[1] + AF + domain 1 + XN + C + B + section + PXN
            (
                0x8010_0000 + 0x3_0000 + 0x1000 + 0xC00 + 0x20 + 0x10 + 0xF,
                pxn_leaf(0x8010_0000, USER_RW),
            ),
            (0x8013_9C2F, pxn_leaf(0x8010_0000, USER_RX)),
            (0x8013_1C3E, leaf(0x8010_0000, USER_RW)),
            // S + AF + XN + B + section
            (0xFFF1_0416, leaf(0xFFF0_0000, DEVICE)),
            // AF + XN + section
            (0x0000_0412, leaf(0, Attrs { share: Shareability::Non, ..of(StronglyOrdered) })),
            // The indices 2, 3, 4, with S + AF + XN + section
            (0x8011_041A, leaf(0x8010_0000, of(WriteThrough))),
            (0x8011_041E, leaf(0x8010_0000, of(WriteBack))),
            (0x8011_1412, leaf(0x8010_0000, of(NonCacheable))),
            // Without the access flag
            (0x8011_101E, leaf(0x8010_0000, KERNEL_RW.mkold())),
            // TEX[1] and TEX[2] are software's
            (0x8011_B41E, leaf(0x8010_0000, CLEAN)),
            (0x8011_D41E, leaf(0x8010_0000, DIRTY)),
            // Bits 1:0 are zero: ignored by the hardware
            (0x8011_941C, leaf(0x8010_0000, KERNEL_NONE)),
        ],
    );
}

/// B3.5.1: PA\[39:36\] in 8:5, PA\[35:32\] in 23:20, bit 18 set.
#[test]
fn b45_r6_classic_supersections() {
    check::<Classic>(
        0,
        &[
            (0x8105_141E, run_leaf(0x8100_0000, KERNEL_RW)),
            // base + PA[35:32] + super + S + TEX[0] + AF + PA[39:36] + XN + C + B + section
            (
                0x3400_0000 + 0xB0_0000 + 0x4_0000 + 0x1_0000 + 0x1400 + 0x140 + 0x1E,
                run_leaf(0xAB_3400_0000, KERNEL_RW),
            ),
            (0xFFF5_95EE, run_leaf(0xFF_FF00_0000, KERNEL_RX)),
            (0x0105_0416, run_leaf(0x0100_0000, DEVICE)),
        ],
    );
}

/// B3.5.1: base 31:10, domain 8:5, NS 3, PXN 2, 0b01.
#[test]
fn r22_classic_tables() {
    check::<Classic>(
        0,
        &[
            (0x9ABC_DC01, table(0x9ABC_DC00, Owner::Swapper, false)),
            (0x9ABC_DC21, table(0x9ABC_DC00, Owner::User, false)),
            (0x9ABC_DC25, table(0x9ABC_DC00, Owner::User, true)),
            (0xFFFF_FC41, table(0xFFFF_FC00, Owner::Kernel, false)),
        ],
    );
}

/// Second-level descriptors, B3.5.1. Small page: base 31:12, nG 11, S 10, AP\[2\] 9, TEX 8:6, AP\[1:0\] 5:4,
/// C 3, B 2, 1 at 1, XN 0. Large page: base 31:16, XN 15, TEX 14:12, nG 11, S 10, AP\[2\] 9, 0 at 8:6,
/// AP\[1:0\] 5:4, C 3, B 2, 0b01.
#[test]
fn b41_b42_r7_classic_pages() {
    use MemoryType::*;
    check::<Classic>(
        1,
        &[
            // base + S + TEX[0] + AF + C + B + small + XN
            (0x1234_5000 + 0x400 + 0x40 + 0x10 + 8 + 4 + 2 + 1, leaf(0x1234_5000, KERNEL_RW)),
            (0x1234_565E, leaf(0x1234_5000, KERNEL_RX)),
            (0x1234_565F, leaf(0x1234_5000, KERNEL_R)),
            // nG + S + TEX[0] + AP[1] + AF + C + B + small + XN
            (0x1234_5000 + 0xC00 + 0x40 + 0x30 + 0xC + 3, leaf(0x1234_5000, USER_RW)),
            (0xFFFF_FE7E, leaf(0xFFFF_F000, USER_RX)),
            (0x1234_5417, leaf(0x1234_5000, DEVICE)),
            (0x1234_541B, leaf(0x1234_5000, of(WriteThrough))),
            (0x1234_541F, leaf(0x1234_5000, of(WriteBack))),
            (0x1234_5453, leaf(0x1234_5000, of(NonCacheable))),
            (0x1234_5413, leaf(0x1234_5000, of(StronglyOrdered))),
            (0x1234_505F, leaf(0x1234_5000, ALONE)),
            (0x1234_544F, leaf(0x1234_5000, KERNEL_RW.mkold())),
            (0x1234_56DF, leaf(0x1234_5000, CLEAN)),
            (0x1234_575F, leaf(0x1234_5000, DIRTY)),
            (0x1234_565C, leaf(0x1234_5000, KERNEL_NONE)),
            // base + XN + TEX[0] + S + AF + C + B + large
            (
                0x4567_0000 + 0x8000 + 0x1000 + 0x400 + 0x10 + 8 + 4 + 1,
                run_leaf(0x4567_0000, KERNEL_RW),
            ),
            (0x4567_161D, run_leaf(0x4567_0000, KERNEL_RX)),
            (0x4567_9C3D, run_leaf(0x4567_0000, USER_RW)),
            (0x4567_1E3D, run_leaf(0x4567_0000, USER_RX)),
            (0x4567_B61D, run_leaf(0x4567_0000, CLEAN)),
            (0x4567_8415, run_leaf(0x4567_0000, DEVICE)),
        ],
    );
}

/// Bits of a long descriptor, B3.6.1 and B3.6.2: the contiguous hint 52, PXN 53, XN 54, software 58:55,
/// PXNTable 59.
const CONTIGUOUS: u64 = 0x0010 << 48;
const PXN: u64 = 0x0020 << 48;
const XN: u64 = 0x0040 << 48;
const SW: [u64; 3] = [0x0080 << 48, 0x0100 << 48, 0x0200 << 48];
const PXN_TABLE: u64 = 0x0800 << 48;

/// Lower attributes, B3.6.2: nG 11, AF 10, SH 9:8, AP\[2:1\] 7:6, NS 5, AttrIndx 4:2; a page is 0b11.
#[test]
fn lpae_pages() {
    use MemoryType::*;
    const AT: u64 = 0x12_3456_0000;
    check::<Lpae>(
        2,
        &[
            // AF + SH 0b11 + index 7 + page
            (XN + AT + 0x400 + 0x300 + 0x1C + 3, leaf(AT, KERNEL_RW)),
            (AT + 0x79F, leaf(AT, KERNEL_RX)),
            (XN + AT + 0x79F, leaf(AT, KERNEL_R)),
            // nG + AF + SH + AP[1] + index + page
            (XN + PXN + AT + 0x800 + 0x400 + 0x300 + 0x40 + 0x1C + 3, pxn_leaf(AT, USER_RW)),
            (PXN + AT + 0xFDF, pxn_leaf(AT, USER_RX)),
            (XN + 0xFF_FFFF_F000 + 0xF5F, leaf(0xFF_FFFF_F000, USER_RW)),
            (XN + AT + 0x707, leaf(AT, DEVICE)),
            (XN + AT + 0x703, leaf(AT, of(StronglyOrdered))),
            (XN + AT + 0x70B, leaf(AT, of(WriteThrough))),
            (XN + AT + 0x70F, leaf(AT, of(WriteBack))),
            (XN + AT + 0x713, leaf(AT, of(NonCacheable))),
            (XN + AT + 0x41F, leaf(AT, ALONE)),
            (XN + AT + 0x61F, leaf(AT, Attrs { share: Shareability::Outer, ..KERNEL_RW })),
            (XN + AT + 0x31F, leaf(AT, KERNEL_RW.mkold())),
            (SW[0] + XN + AT + 0x79F, leaf(AT, CLEAN)),
            (SW[1] + XN + AT + 0x79F, leaf(AT, DIRTY)),
            // Bit 0 is zero: ignored by the hardware
            (SW[2] + XN + AT + 0x79E, leaf(AT, KERNEL_NONE)),
            (CONTIGUOUS + XN + AT + 0x71F, run_leaf(AT, KERNEL_RW)),
            (CONTIGUOUS + XN + AT + 0x1000 + 0x71F, run_leaf(AT + 0x1000, KERNEL_RW)),
        ],
    );
}

/// B3.6.1: a block is 0b01, its base 39:30 at the first level and 39:21 at the second; a table is 0b11, its
/// base 39:12.
#[test]
fn r23_lpae_blocks_and_tables() {
    let tables = [
        (SW[0] + 0x12_3456_7000 + 3, table(0x12_3456_7000, Owner::Swapper, false)),
        (0x12_3456_7000 + 3, table(0x12_3456_7000, Owner::User, false)),
        (SW[1] + 0xFF_FFFF_F000 + 3, table(0xFF_FFFF_F000, Owner::Kernel, false)),
        (PXN_TABLE + 0x12_3456_7000 + 3, table(0x12_3456_7000, Owner::User, true)),
    ];
    check::<Lpae>(0, &tables);
    check::<Lpae>(1, &tables);
    check::<Lpae>(
        0,
        &[
            (XN + 0x12_4000_0000 + 0x71D, leaf(0x12_4000_0000, KERNEL_RW)),
            (XN + PXN + 0xFF_C000_0000 + 0xF5D, pxn_leaf(0xFF_C000_0000, USER_RW)),
            (SW[2] + XN + 0x79C, leaf(0, KERNEL_NONE)),
        ],
    );
    check::<Lpae>(
        1,
        &[
            (XN + 0x12_3460_0000 + 0x71D, leaf(0x12_3460_0000, KERNEL_RW)),
            (0xFF_FFE0_0000 + 0x79D, leaf(0xFF_FFE0_0000, KERNEL_RX)),
            (CONTIGUOUS + XN + 0x12_3460_0000 + 0x71D, run_leaf(0x12_3460_0000, KERNEL_RW)),
            (XN + 0x705, leaf(0, DEVICE)),
        ],
    );
}

/// Words that the manual reserves, and words that have a meaning but are never written here.
#[test]
fn r10_reserved_words() {
    let classic: [(usize, u32); 15] = [
        (0, 0x9ABC_DC61), // domain 3
        (0, 0x9ABC_DC09), // NS in a table entry
        (0, 0x9ABC_DE01), // bit 9
        (0, 0x8019_141E), // NS in a section
        (0, 0x8011_161E), // bit 9
        (0, 0x8011_140E), // writable and executable
        (0, 0x8011_9406), // executable device
        (0, 0x8011_1416), // index 5: reserved without TRE
        (0, 0x8011_141A), // index 6: implementation defined
        (0, 0x8011_143E), // the kernel's section in user space's domain
        (0, 0x8105_1C1E), // user space's supersection
        (1, 0x1234_545E), // writable and executable
        (1, 0x4567_945D), // a large page with bit 6, which should be zero
        (1, 0x4567_141D), // writable and executable
        (1, 0x0000_1000), // invalid, with content that is no leaf's
    ];
    for (depth, word) in classic {
        assert_eq!(Classic::decode(depth, word), Entry::Reserved, "{word:#x}");
    }
    let lpae: [(usize, u64); 14] = [
        (2, XN + 0x71D),              // 0b01 at the third level
        (2, 0x71F),                   // writable and executable
        (2, 0x787),                   // executable device
        (2, XN + 0x51F),              // SH 0b01
        (2, XN + 0x717),              // index 5
        (2, XN + 0x71B),              // index 6
        (2, XN + 0x73F),              // NS
        (2, XN + (1 << 40) + 0x71F),  // base beyond 40 bits
        (2, XN + (1 << 63) + 0x71F),  // ignored by the hardware, never written
        (1, XN + 0x10_0000 + 0x71D),  // block base not on 2 MiB
        (0, XN + 0x20_0000 + 0x71D),  // block base not on 1 GiB
        (0, CONTIGUOUS + XN + 0x71D), // four entries make no run
        (1, (1 << 61) + 3),           // APTable: a table's entry that restricts
        (1, SW[0] + SW[1] + 3),       // two owners
    ];
    for (depth, word) in lpae {
        assert_eq!(Lpae::decode(depth, word), Entry::Reserved, "{word:#x}");
    }
}

/// PRRR: TRn in 2n+1:2n (0b01 device, 0b10 normal), DS0 16, DS1 17, NS1 19, NOSn 24+n. NMRR: IRn in 2n+1:2n,
/// ORn 16 bits up (0b01 write-back write-allocate, 0b10 write-through, 0b11 write-back). Index 1 is device; 2
/// write-through, 3 write-back, 4 not cached, 7 write-back write-allocate. B4.1, PRRR and NMRR.
#[test]
fn b64_r16_r21_classic_registers() {
    let types = (0b01 << 2) + (0b10 << 4) + (0b10 << 6) + (0b10 << 8) + (0b10 << 14);
    let inner = (1u32 << 26) + (1 << 27) + (1 << 28) + (1 << 31);
    assert_eq!(Classic::REMAP[0], types + (1 << 16) + (1 << 17) + (1 << 19) + inner);
    let caches = (0b10 << 4) + (0b11 << 6) + (0b01 << 14);
    assert_eq!(Classic::REMAP[1], caches + (caches << 16));
    // IRGN[0] 6, NOS 5, RGN 4:3 = 0b01, S 1. B4.1, TTBR0 with the Multiprocessing Extensions.
    let root = 0x9ABC_C000;
    assert_eq!(Classic::ttbr0(phys(root), Asid(9)), root + 0x40 + 0x20 + 0x08 + 0x02);
    assert_eq!(Classic::root(root + 0x6A), phys(root));
    // PD1 5; N = 0.
    assert_eq!((Classic::TTBCR, Classic::ttbcr(None)), (0x20, 0x20));
    // N 2:0, and nothing that stops walks by TTBR1, which is the whole root's: RGN and IRGN as TTBR0's.
    let two_gib = &Classic::SPLITS[0];
    assert_eq!((two_gib.border, Classic::ttbcr(Some(two_gib))), (VirtAddr(0x8000_0000), 1));
    assert_eq!(Classic::ttbr1(phys(root), two_gib), root + 0x40 + 0x20 + 0x08 + 0x02);
    // 8 KiB of root leave one more bit of its address. B4.1, TTBR0.
    assert_eq!(Classic::root(0x9ABC_E06A), phys(0x9ABC_E000));
    assert_eq!(Classic::PD0, 1 << 4);
    // Clients: domains 0, 1 and 2.
    assert_eq!(Classic::DACR, 0b01_01_01);
}

/// MAIRn: strongly-ordered 0x00, device 0x04; outer and inner nibbles: 0b0100 not cached, 0b1010
/// write-through, 0b1110 write-back, 0b1111 write-back write-allocate, each allocating on reads. B4.1, MAIR0.
/// TTBCR: EAE 31, EPD1 23, SH0 13:12, ORGN0 11:10, IRGN0 9:8, T0SZ 2:0. B4.1, TTBCR.
#[test]
fn b64_r13_lpae_registers() {
    assert_eq!(Lpae::REMAP, [u32::from_le_bytes([0x00, 0x04, 0xAA, 0xEE]), 0xFF00_0044]);
    assert_eq!(Lpae::TTBCR, (1 << 31) + (1 << 23) + (0b11 << 12) + (0b01 << 10) + (0b01 << 8));
    // The ASID in 55:48. B4.1, TTBR0, 64-bit format.
    assert_eq!(Lpae::ttbr0(phys(0x12_3456_7820), Asid(0xA5)), 0x00A5_0012_3456_7820);
    assert_eq!(Lpae::root(0x00A5_0012_3456_7820), phys(0x12_3456_7820));
    // SH1 29:28, ORGN1 27:26, IRGN1 25:24, T1SZ 18:16; EPD1 clear.
    let walks = (0b11 << 28) + (0b01 << 26) + (0b01 << 24);
    let upper = Lpae::TTBCR - (1 << 23) + walks;
    // The upper 2 GiB: the walk starts at level 1, at the third entry of four. B3.6.6.
    let [two_gib, three_gib, less] = [0, 1, 2].map(|index| &Lpae::SPLITS[index]);
    assert_eq!((two_gib.border, two_gib.depth), (VirtAddr(0x8000_0000), 0));
    assert_eq!(Lpae::ttbcr(Some(two_gib)), upper + (1 << 16));
    assert_eq!(Lpae::ttbr1(phys(0x12_3456_7820), two_gib), 0x12_3456_7830);
    // The upper 1 GiB: at level 2, at the pmd; and the upper 512 MiB, at the middle of it.
    assert_eq!((three_gib.border, three_gib.depth), (VirtAddr(0xC000_0000), 1));
    assert_eq!(Lpae::ttbcr(Some(three_gib)), upper + (2 << 16));
    assert_eq!(Lpae::ttbr1(phys(0x12_3456_7000), three_gib), 0x12_3456_7000);
    assert_eq!((less.border, less.depth), (VirtAddr(0xE000_0000), 1));
    assert_eq!(Lpae::ttbr1(phys(0x12_3456_7000), less), 0x12_3456_7800);
    assert_eq!((Lpae::ttbcr(None), Lpae::PD0), (Lpae::TTBCR, 1 << 7));
}

/// SCTLR: M 0, C 2, Z 11, I 12, TRE 28, AFE 29 on; A 1, V 13, HA 17, WXN 19, UWXN 20, EE 25, TE 30 off. B4.1, SCTLR.
/// WXN and UWXN do not exist before the Virtualization Extensions: nothing relies on them.
#[test]
fn r26_the_control_register() {
    use armv7a_mm::format::control::sctlr;
    let bits = |bits: &[u32]| bits.iter().map(|bit| 1 << bit).sum::<u32>();
    assert_eq!(sctlr::ON, bits(&[0, 2, 11, 12, 28, 29]));
    assert_eq!(sctlr::CLEAR, bits(&[1, 13, 17, 19, 20, 25, 30]));
}
