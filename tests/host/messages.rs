//! What is said in words: each message is another, names what was wrong, and gives the address in question.

use std::collections::BTreeSet;
use std::fmt::Display;

use crate::support::*;
use armv7a_mm::format::{EncodeError, FaultKind};
use armv7a_mm::mm::window::{AreaError, WindowError};
use armv7a_mm::table::context::Context;
use armv7a_mm::table::error::EditError;
use armv7a_mm::table::heap::Incongruent;
use armv7a_mm::table::inspect::LeafKind;
use armv7a_mm::table::mem::OutOfMemory;

/// Checks that each of `said` contains its words, and that no two are the same.
fn assert_told<T: Display>(said: impl IntoIterator<Item = (T, &'static str)>) {
    let mut texts = BTreeSet::new();
    for (what, words) in said {
        let text = what.to_string();
        assert!(text.contains(words), "`{words}` is not in: {text}");
        assert!(texts.insert(text.clone()), "said twice: {text}");
    }
}

const AT: VirtAddr = VirtAddr(0xC123_4000);

#[test]
fn a_descriptor_that_cannot_be() {
    let at = phys(0x1_2345_6789);
    assert_told([
        (EncodeError::NoSuchEntry { depth: 2 }, "depth 2"),
        (EncodeError::Misaligned { at }, "0x0123456789 is not aligned"),
        (EncodeError::OutOfReach { at }, "0x0123456789 is beyond"),
        (EncodeError::ExecutableDevice(MemoryType::Device), "Device memory cannot be executable"),
        (EncodeError::OuterShareable, "outer shareable"),
        (EncodeError::Unsupported, "cannot hold these attributes"),
        (EncodeError::Reserved, "reserved"),
    ]);
}

#[test]
fn an_edit_that_was_refused() {
    let frame = phys(0x8765_4000);
    let attrs = Attrs::user(Access::Read);
    let leaf = Entry::Leaf(Leaf { frame, attrs, run: false, pxn: false });
    let table = Entry::Table(TableEntry { table: frame, owner: Owner::User, pxn: false });
    assert_told([
        (EditError::Misaligned, "page boundaries"),
        (EditError::PhysMisaligned { start: frame }, "the memory at 0x0087654000 does not start"),
        (EditError::PhysOverflow { start: frame }, "0x0087654000 ends beyond 40 bits"),
        (EditError::OutOfBounds { at: AT }, "0xc1234000 is not this tree's"),
        (EditError::WrongHalf, "kernel mappings are global"),
        (
            EditError::Mapped { at: AT, by: leaf },
            "0xc1234000 is mapped already, by a leaf of the memory at 0x0087654000",
        ),
        (EditError::Mapped { at: AT, by: table }, "0xc1234000 is mapped already"),
        (EditError::NotMapped { at: AT }, "nothing is mapped at 0xc1234000"),
        (EditError::Reserved { at: AT }, "0xc1234000 holds a word of unknown meaning"),
        (EditError::Sealed { at: AT }, "0xc1234000 was copied"),
        (EditError::Encode(EncodeError::OuterShareable), "outer shareable"),
        (EditError::OutOfMemory, "no memory is left"),
    ]);
    assert_eq!(EditError::OutOfMemory.to_string(), OutOfMemory.to_string());
    assert!(Incongruent.to_string().contains("modulo 16 KiB"));
}

#[test]
fn a_fault() {
    use FaultKind::*;
    assert_told([
        (Alignment, "alignment"),
        (Debug, "debug"),
        (AccessFlag, "access flag"),
        (Translation, "translation"),
        (Domain, "domain"),
        (Permission, "permission"),
        (AddressSize, "address size"),
        (CacheMaintenance, "cache maintenance"),
        (External, "external abort"),
        (WalkExternal, "external abort on a table walk"),
        (Parity, "parity"),
        (WalkParity, "parity error on a table walk"),
        (TlbConflict, "TLB conflict"),
        (AsyncExternal, "asynchronous external"),
        (AsyncParity, "asynchronous parity"),
        (Lockdown, "lockdown"),
        (Coprocessor, "coprocessor"),
        (Reserved(0x3F), "reserved status 0x3f"),
    ]);
}

#[test]
fn a_window() {
    let full = AreaError::WindowFull;
    let many = AreaError::TooManyAreas;
    assert_told([(many, "list of areas is full"), (full, "no gap of that size")]);
    assert_told([
        (WindowError::Empty, "no byte"),
        (
            WindowError::PhysOverflow { start: phys(0x8765_4000) },
            "0x0087654000 ends beyond 40 bits",
        ),
        (WindowError::Ram { at: phys(0x8765_4000) }, "0x0087654000 is RAM"),
        (WindowError::Area(full), "no gap of that size"),
        (WindowError::NoSuchArea { at: AT }, "starts at 0xc1234000"),
        (WindowError::OutOfFrames, "no frame is left"),
        (WindowError::OutOfOrder { last: AT }, "0xc1234000 was mapped later"),
        (WindowError::Edit(EditError::Misaligned), "page boundaries"),
    ]);
    let context = Context::new(phys(0x8000_4000));
    let told = format!("{context:?}");
    assert!(told.contains("0x0080004000") && told.contains("None"), "{told}");
}

#[test]
fn a_debt() {
    let host = Host::<Classic>::new();
    static LAYOUT: Layout = Layout::checked(LayoutSpec::linux(0xC000_0000));
    let mut swapper = Swapper::<Classic, _>::new(&host, &LAYOUT, Features { pxn: true }).unwrap();
    let mut pgd = swapper.pgd_alloc().unwrap();
    let page = range(0x10_0000, 0x10_1000);
    let attrs = Attrs::user(Access::ReadExecute);
    // SAFETY: no CPU walks these tables.
    unsafe {
        pgd.map(page, phys(0x8000_0000), attrs, LeafSizes::PAGES).unwrap();
        let flush = pgd.unmap(page).unwrap();
        let told = format!("{flush:?}");
        for words in ["whose: Everyone", "0x00100000", "executable: true"] {
            assert!(told.contains(words), "`{words}` is not in: {told}");
        }
        flush.pay();
        pgd.pgd_free();
    }
}

#[test]
fn leaves_in_a_drawing() {
    use LeafKind::*;
    let kinds = [Flat, Section, Supersection, SmallPage, LargePage, Block1G, Block2M, Page];
    let names: BTreeSet<_> = kinds.into_iter().map(LeafKind::name).collect();
    assert_eq!(names.len(), kinds.len());
    let depths = kinds.map(LeafKind::depth);
    let (pgd, pmd) = (Some(0), Some(1));
    assert_eq!(depths, [None, pgd, pgd, pmd, pmd, pgd, pmd, Some(2)]);
}
