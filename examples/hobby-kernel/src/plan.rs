//! Which programs run, how each must end, and whether all did.

use spin::Mutex;

use crate::abi::Program;
use crate::ending::{Ending, Place, Reason};
use crate::processes::PROCESSES;
use crate::usage::Usage;
use crate::{interrupts, power, println, traps};
use armv7a_mm::format::{Active, FaultKind, Format};
use armv7a_mm::table::mem::OutOfMemory;

/// The programs, with their arguments.
const PROGRAMS: &[(Program, u32)] = &[
    (Program::Count, 1),
    (Program::Count, 2),
    (Program::Count, 3),
    (Program::Grow, 0),
    (Program::Fork, 0),
    (Program::Cheat, 0),
    (Program::Clock, 0),
    (Program::Null, 0),
    (Program::Peek, 0),
    (Program::Shellcode, 0),
];

/// What runs instead to be measured: alone, and never interrupted.
const BENCH: &[(Program, u32)] = &[(Program::Bench, 0)];

static PLAN: Mutex<Plan> =
    Mutex::new(Plan { programs: PROGRAMS, before: None, right: 0, wrong: 0 });

struct Plan {
    programs: &'static [(Program, u32)],
    /// What was in use before the first program started.
    before: Option<Usage>,
    right: usize,
    wrong: usize,
}

/// Has what is measured run instead of the programs.
pub fn bench() {
    PLAN.lock().programs = BENCH;
}

/// Starts the programs; they run once the kernel enters user mode.
///
/// # Errors
/// No memory is left for one of them.
pub fn start() -> Result<(), OutOfMemory> {
    let before = Usage::now();
    println!("in use before: {before}");
    let mut plan = PLAN.lock();
    plan.before = Some(before);
    let mut processes = PROCESSES.lock();
    for &(program, argument) in plan.programs {
        processes.spawn(program, argument)?;
    }
    Ok(())
}

/// Whether a program ended as it must: three of them in a fault of a certain kind.
fn is_right(program: Program, ending: Ending) -> bool {
    let (kind, place) = match program {
        Program::Null => (FaultKind::Translation, Place::Null),
        Program::Peek => (FaultKind::Permission, Place::Kernel),
        Program::Shellcode => (FaultKind::Permission, Place::Own),
        _ => return matches!(ending, Ending::Exited(0)),
    };
    matches!(
        ending,
        Ending::Killed(Reason::Memory { fault, place: found, .. })
            if fault.kind == kind && found == place
    )
}

/// Notes how a program that the plan started came to its end.
pub fn note(program: Program, ending: Ending) {
    let mut plan = PLAN.lock();
    match is_right(program, ending) {
        true => plan.right += 1,
        false => plan.wrong += 1,
    }
}

/// Says whether all went well, and switches off.
pub fn verdict() -> ! {
    let plan = PLAN.lock();
    let after = Usage::now();
    println!("in use after:  {after}");
    println!(
        "{} turns ended by the timer, {} kernel entries copied by faults",
        interrupts::preemptions(),
        traps::synced(),
    );
    let balanced = plan.before == Some(after);
    let preempted = interrupts::preemptions() > 0 || plan.programs == BENCH;
    println!(
        "hobby-kernel {}: {} programs ended as they should, {} did not; memory {}; preemption {}",
        Active::NAME,
        plan.right,
        plan.wrong,
        if balanced { "balanced" } else { "LOST" },
        if preempted { "seen" } else { "MISSING" },
    );
    if plan.right == plan.programs.len() && plan.wrong == 0 && balanced && preempted {
        power::off()
    }
    power::fail()
}
