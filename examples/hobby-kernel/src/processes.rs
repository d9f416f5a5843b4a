//! Processes, and whose turn it is.

use armv7a_mm::table::context::Context;
use armv7a_mm::table::mem::OutOfMemory;
use spin::Mutex;

use crate::abi::Program;
use crate::ending::Ending;
use crate::space::{STACK_END, Space};
use crate::swapper::{enter_space, leave_space};
use crate::traps::Registers;
use crate::{image, plan, println};

/// All of them.
pub static PROCESSES: Mutex<Processes> =
    Mutex::new(Processes { slots: [const { None }; 16], current: 0, last_pid: 0 });

/// See [`PROCESSES`].
pub struct Processes {
    slots: [Option<Process>; 16],
    current: usize,
    last_pid: u32,
}

/// A process.
pub struct Process {
    pid: u32,
    parent: Parent,
    program: Program,
    state: State,
    /// While it does not run.
    registers: Registers,
    /// What `space` is known by while it runs. It stays where it is, in its slot, until the process is gone.
    context: Context,
    /// Until it ends.
    space: Option<Space>,
}

/// Who wants to know how a process ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Parent {
    /// The plan, which started it.
    Plan,
    /// The process of this number, which forked it.
    Process(u32),
    /// Nobody any more.
    Nobody,
}

#[derive(Clone, Copy)]
enum State {
    Ready,
    /// For a child to end.
    Waiting,
    /// And nobody has asked how.
    Ended(Ending),
}

/// What there is to wait for.
pub enum Wait {
    /// Nothing.
    NoChildren,
    /// All children go on. The process waits until one has ended; then it asks again.
    Blocked,
    /// A child has ended.
    Ended {
        /// Its number.
        pid: u32,
        /// How.
        ending: Ending,
    },
}

impl Process {
    /// Its number, from 1.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its address space.
    pub fn space(&mut self) -> &mut Space {
        self.space.as_mut().expect("only processes that have not ended run")
    }
}

impl Processes {
    /// Adds a process that will run `program`.
    ///
    /// # Errors
    /// No memory is left for it.
    pub fn spawn(&mut self, program: Program, argument: u32) -> Result<u32, OutOfMemory> {
        let mut registers = Registers::user(image::START, STACK_END);
        registers.r[0] = program as u32;
        registers.r[1] = argument;
        self.add(Parent::Plan, program, registers, Space::new()?)
    }

    /// Adds a copy of the running process, which `registers` are; its number.
    ///
    /// # Errors
    /// No memory is left for it.
    pub fn fork(&mut self, registers: &Registers) -> Result<u32, OutOfMemory> {
        let mut child = *registers;
        child.r[0] = 0;
        let parent = self.current();
        let (pid, program) = (parent.pid, parent.program);
        let space = parent.space().fork()?;
        self.add(Parent::Process(pid), program, child, space)
    }

    fn add(
        &mut self,
        parent: Parent,
        program: Program,
        registers: Registers,
        space: Space,
    ) -> Result<u32, OutOfMemory> {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()) else {
            space.free();
            return Err(OutOfMemory);
        };
        self.last_pid += 1;
        let process = slot.insert(Process {
            pid: self.last_pid,
            parent,
            program,
            state: State::Ready,
            registers,
            context: Context::new(space.root()),
            space: None,
        });
        // SAFETY: the slot outlives the space, which never ran.
        unsafe { process.space.insert(space).set_context(&process.context) };
        Ok(process.pid)
    }

    /// The one that runs.
    pub fn current(&mut self) -> &mut Process {
        self.slots[self.current].as_mut().expect("a process runs")
    }

    /// The registers of the first to run, in its address space.
    pub fn first(&mut self) -> Registers {
        // SAFETY: `add` told its pgd.
        unsafe { enter_space(&self.current().context) };
        self.current().registers
    }

    /// Takes turns: `registers` become those of the next process that can run.
    pub fn next(&mut self, registers: &mut Registers) {
        self.current().registers = *registers;
        self.resume(registers);
    }

    /// Runs the next process that can, after the one that had its turn.
    fn resume(&mut self, registers: &mut Registers) {
        let slots = self.slots.len();
        let after = (1..=slots).map(|step| (self.current + step) % slots);
        let is_ready = |slot: &Option<Process>| {
            slot.as_ref().is_some_and(|process| matches!(process.state, State::Ready))
        };
        let Some(next) = after.into_iter().find(|&slot| is_ready(&self.slots[slot])) else {
            assert!(self.slots.iter().all(Option::is_none), "every process waits");
            plan::verdict();
        };
        if next != self.current {
            self.current = next;
            // SAFETY: `add` told its pgd.
            unsafe { enter_space(&self.current().context) };
        }
        *registers = self.current().registers;
    }

    /// Ends the running process, and runs the next.
    pub fn end(&mut self, registers: &mut Registers, ending: Ending) {
        let process = self.current();
        let (pid, parent, program) = (process.pid, process.parent, process.program);
        if parent == Parent::Plan || matches!(ending, Ending::Killed(_)) {
            println!("[{pid}] {program:?}: {ending}");
        }
        process.state = State::Ended(ending);
        leave_space();
        process.space.take().into_iter().for_each(Space::free);
        for slot in &mut self.slots {
            let Some(process) = slot else { continue };
            if process.parent == Parent::Process(pid) {
                process.parent = Parent::Nobody;
            }
            if parent == Parent::Process(process.pid) && matches!(process.state, State::Waiting) {
                process.state = State::Ready;
            }
            // What nobody will ask for goes: this one, or children of its that ended before.
            if matches!(
                (process.state, process.parent),
                (State::Ended(_), Parent::Plan | Parent::Nobody)
            ) {
                *slot = None;
            }
        }
        if parent == Parent::Plan {
            plan::note(program, ending);
        }
        self.resume(registers);
    }

    /// Looks for a child of the running process that has ended, and takes it out.
    pub fn wait(&mut self) -> Wait {
        let parent = Parent::Process(self.current().pid);
        let mut answer = Wait::NoChildren;
        for slot in &mut self.slots {
            let Some(process) = slot.as_ref().filter(|process| process.parent == parent) else {
                continue;
            };
            if let State::Ended(ending) = process.state {
                let pid = process.pid;
                *slot = None;
                return Wait::Ended { pid, ending };
            }
            answer = Wait::Blocked;
        }
        if matches!(answer, Wait::Blocked) {
            self.current().state = State::Waiting;
        }
        answer
    }
}
