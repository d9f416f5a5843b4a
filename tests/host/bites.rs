//! The host machine itself: each misuse of tables panics. Without these, its silence in the other tests would
//! prove nothing.

use crate::support::*;
use armv7a_mm::table::mem::{Maintenance, TableMemory};
use armv7a_mm::table::node::Node;

const USER: Attrs = Attrs::user(Access::ReadWrite);

/// A root in a TTBR with a table of pages below it: a linked one, or one that is still ready to be.
fn tree(host: &Host<Classic>, linked: bool) -> [Node<'_, Classic, Host<Classic>>; 2] {
    let [root, pte] = [0, 1].map(|depth| {
        let level = &Classic::LEVELS[depth];
        let table = host.allocate(level).unwrap();
        // SAFETY: fresh tables of a host, which nobody else uses.
        unsafe {
            let node = Node::<Classic, _>::new(host, table, depth);
            node.zero(node.all());
            node.clean(node.all());
            node
        }
    });
    host.dsb_ish();
    host.activate(root.table());
    if linked {
        link(&root, &pte);
    }
    [root, pte]
}

fn link(root: &Node<'_, Classic, Host<Classic>>, pte: &Node<'_, Classic, Host<Classic>>) {
    let entry = TableEntry { table: pte.table(), owner: Owner::User, pxn: false };
    store(root, 0, Classic::encode(0, Entry::Table(entry)).unwrap());
}

fn store(node: &Node<'_, Classic, Host<Classic>>, index: usize, raw: u32) {
    // SAFETY: nobody reaches memory through these tables.
    unsafe { node.store(index, raw) }
    node.clean(index..index + 1);
}

fn give_back(node: &Node<'_, Classic, Host<Classic>>) {
    // SAFETY: what a test of the host breaks on purpose.
    unsafe { node.machine().free(node.table(), node.level()) }
}

/// What every CPU knows is forgotten.
fn forget_all(host: &Host<Classic>) {
    host.dsb_ishst();
    host.tlbiall();
    host.dsb_ish();
}

fn page(frame: u64, memory: MemoryType) -> u32 {
    let attrs = USER.with_memory(memory);
    let leaf = Leaf { frame: phys(frame), attrs, run: false, pxn: false };
    Classic::encode(1, Entry::Leaf(leaf)).unwrap()
}

const NORMAL: MemoryType = MemoryType::WriteBack;

/// Everything in order.
#[test]
fn not_without_reason() {
    let host = Host::new();
    let [root, pte] = tree(&host, true);
    store(&pte, 3, page(0x5000, NORMAL));
    store(&root, 0, 0);
    forget_all(&host);
    give_back(&pte);
}

#[test]
#[should_panic = "was not cleaned"]
fn linked_before_it_was_cleaned() {
    let host = Host::new();
    let [root, pte] = tree(&host, false);
    // SAFETY: nobody reaches memory through these tables.
    unsafe { pte.store(3, page(0x5000, NORMAL)) };
    host.dsb_ish();
    link(&root, &pte);
}

#[test]
#[should_panic = "no DSB after the table"]
fn linked_before_it_was_published() {
    let host = Host::new();
    let [root, pte] = tree(&host, false);
    store(&pte, 3, page(0x5000, NORMAL));
    link(&root, &pte);
}

#[test]
#[should_panic = "that is linked"]
fn freed_while_linked() {
    let host = Host::new();
    let [_, pte] = tree(&host, true);
    give_back(&pte);
}

#[test]
#[should_panic = "that walks may have cached"]
fn freed_before_it_was_forgotten() {
    let host = Host::new();
    let [root, pte] = tree(&host, true);
    store(&root, 0, 0);
    host.dsb_ishst();
    // One page is not the walk cache.
    host.tlbimvaa(VirtAddr(0));
    host.dsb_ish();
    give_back(&pte);
}

/// A flush came before the root left its TTBR, and none since.
#[test]
#[should_panic = "that walks may have cached"]
fn freed_before_a_root_was_forgotten() {
    let host = Host::new();
    let [root, pte] = tree(&host, true);
    forget_all(&host);
    host.deactivate(root.table());
    store(&root, 0, 0);
    give_back(&pte);
}

/// Walk caches may lead from a root that left its TTBR to what is linked below it later.
#[test]
#[should_panic = "that walks may have cached"]
fn freed_after_it_was_linked_to_a_root_that_left() {
    let host = Host::new();
    let [root, pte] = tree(&host, false);
    forget_all(&host);
    host.deactivate(root.table());
    link(&root, &pte);
    store(&root, 0, 0);
    give_back(&pte);
}

#[test]
#[should_panic = "no table in use"]
fn freed_twice() {
    let host = Host::new();
    let [_, pte] = tree(&host, false);
    give_back(&pte);
    give_back(&pte);
}

#[test]
#[should_panic = "another level"]
fn freed_as_something_else() {
    let host = Host::<Classic>::new();
    let [_, pte] = tree(&host, false);
    // SAFETY: what a test of the host breaks on purpose.
    unsafe { host.free(pte.table(), &Classic::LEVELS[0]) }
}

#[test]
#[should_panic = "no table in use"]
fn written_after_it_was_freed() {
    let host = Host::new();
    let [_, pte] = tree(&host, false);
    give_back(&pte);
    // SAFETY: what a test of the host breaks on purpose.
    let _ = pte.load(3);
}

/// Maintenance by address of what is no longer a table's: on hardware it may fault.
#[test]
#[should_panic = "cleaned a table in use"]
fn b52_cleaned_after_it_was_freed() {
    let host = Host::new();
    let [_, pte] = tree(&host, false);
    give_back(&pte);
    pte.clean(3..4);
}

#[test]
#[should_panic = "with no break before make"]
fn r4_changed_without_a_break() {
    let host = Host::new();
    let [_, pte] = tree(&host, true);
    store(&pte, 3, page(0x5000, NORMAL));
    store(&pte, 3, page(0x5000, MemoryType::NonCacheable));
}

#[test]
#[should_panic = "stored while TLBs may hold"]
fn made_again_before_it_was_forgotten() {
    let host = Host::new();
    let [_, pte] = tree(&host, true);
    store(&pte, 3, page(0x5000, NORMAL));
    store(&pte, 3, 0);
    host.dsb_ishst();
    host.tlbimvaa(VirtAddr(0x3000));
    // No DSB ISH.
    store(&pte, 3, page(0x6000, NORMAL));
}

#[test]
#[should_panic = "is owed"]
fn forgotten_at_the_wrong_address() {
    let host = Host::new();
    let [_, pte] = tree(&host, true);
    store(&pte, 3, page(0x5000, NORMAL));
    store(&pte, 3, 0);
    host.dsb_ishst();
    host.tlbimvaa(VirtAddr(0x2000));
    host.dsb_ish();
    host.isb();
    host.assert_paid();
}

#[test]
#[should_panic = "no ISB"]
fn not_synchronised() {
    let host = Host::new();
    let [_, pte] = tree(&host, true);
    store(&pte, 3, page(0x5000, NORMAL));
    host.dsb_ishst();
    host.assert_paid();
}

#[test]
#[should_panic = "is owed"]
fn predicted_still() {
    let host = Host::new();
    let [_, pte] = tree(&host, true);
    let attrs = Attrs::user(Access::ReadExecute);
    let leaf = Leaf { frame: phys(0x5000), attrs, run: false, pxn: false };
    store(&pte, 3, Classic::encode(1, Entry::Leaf(leaf)).unwrap());
    store(&pte, 3, 0);
    forget_all(&host);
    host.isb();
    host.assert_paid();
}

#[test]
#[should_panic = "is owed"]
fn forgotten_before_it_was_visible() {
    let host = Host::new();
    let [_, pte] = tree(&host, true);
    store(&pte, 3, page(0x5000, NORMAL));
    store(&pte, 3, 0);
    // No DSB ISHST.
    host.tlbiall();
    host.dsb_ish();
    host.isb();
    host.assert_paid();
}

#[test]
#[should_panic = "leaked"]
fn leaked() {
    let host = Host::new();
    let [root, _] = tree(&host, false);
    host.audit(root.table(), &[]);
}
