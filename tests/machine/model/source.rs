//! A script as the source of a regression test.

use std::fmt::{self, Display, Write};

use armv7a_mm::attr::Attrs;
use armv7a_mm::table::edit::LeafSizes;

use super::op::{Action, Change, Op, Step};
use super::script::Script;

/// The source of a file in `tests/` that replays the script.
impl Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, seed, steps } = self;
        writeln!(f, "//! What a random sequence once broke.\n")?;
        writeln!(f, "mod machine;\n")?;
        writeln!(f, "use machine::model::prelude::*;\n")?;
        writeln!(f, "const STEPS: [Step; {}] = [", steps.len())?;
        for Step { chance, refuse, op } in steps {
            let op = self::op(op);
            writeln!(f, "    Step {{ chance: {chance:#x}, refuse: {refuse:?}, op: {op} }},")?;
        }
        writeln!(f, "];\n")?;
        writeln!(f, "#[test]\nfn {}_{seed}() {{", kind.name)?;
        writeln!(f, "    replay({:?}, {seed}, &STEPS);\n}}", kind.name)
    }
}

/// Operations print as they are written, but for numbers that are better read in hexadecimal and for constants.
fn op(op: &Op) -> String {
    let mut out = String::new();
    let written = match op {
        Op::Map { tree, pages: (first, last), phys, attrs, sizes } => write!(
            out,
            "Op::Map {{ tree: {tree:?}, pages: ({first:#x}, {last:#x}), phys: {phys:#x}, attrs: {}, sizes: \
             LeafSizes::from_bits_truncate({}) }}",
            self::attrs(attrs),
            LeafSizes::bits(sizes)
        ),
        Op::Change { tree, pages: (first, last), action } => write!(
            out,
            "Op::Change {{ tree: {tree:?}, pages: ({first:#x}, {last:#x}), action: {} }}",
            self::action(action)
        ),
        Op::Identity { space, pages: (first, last), access } => write!(
            out,
            "Op::Identity {{ space: {space}, pages: ({first:#x}, {last:#x}), access: Access::{access:?} }}"
        ),
        Op::Fault { cpu, page } => write!(out, "Op::Fault {{ cpu: {cpu}, page: {page:#x} }}"),
        other => write!(out, "Op::{other:?}"),
    };
    written.expect("strings take everything");
    out
}

fn attrs(attrs: &Attrs) -> String {
    let Attrs { memory, access, user, global, share, young, marks } = attrs;
    format!(
        "Attrs {{ memory: MemoryType::{memory:?}, access: Access::{access:?}, user: {user}, global: {global}, share: \
         Shareability::{share:?}, young: {young}, marks: Marks::from_bits_truncate({}) }}",
        marks.bits()
    )
}

fn action(action: &Action) -> String {
    match action {
        Action::Protect(access) => format!("Action::Protect(Access::{access:?})"),
        Action::Modify(Change::Memory(memory)) => {
            format!("Action::Modify(Change::Memory(MemoryType::{memory:?}))")
        }
        Action::Modify(Change::Share(share)) => {
            format!("Action::Modify(Change::Share(Shareability::{share:?}))")
        }
        Action::Modify(change) => format!("Action::Modify(Change::{change:?})"),
        plain => format!("Action::{plain:?}"),
    }
}
