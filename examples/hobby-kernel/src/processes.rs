//! Processes, and whose turn it is.

use armv7a_mm::armv7::barrier::{ISH, dsb, isb};
use armv7a_mm::armv7::mmu;
use armv7a_mm::armv7::tlb::{self, Reach};
use armv7a_mm::attr::Asid;
use armv7a_mm::table::mem::OutOfMemory;
use spin::Mutex;

use crate::abi::Program;
use crate::ending::Ending;
use crate::space::{STACK_END, Space};
use crate::swapper::view;
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
    /// The process that waits for it, 0 for none.
    parent: u32,
    program: Program,
    state: State,
    /// While it does not run.
    registers: Registers,
    /// Until it ends.
    space: Option<Space>,
}

#[derive(Clone, Copy)]
enum State {
    Ready,
    /// For a child to end.
    Waiting,
    /// And nobody has asked how.
    Ended(Ending),
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
        self.add(0, program, registers, Space::new()?)
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
        self.add(pid, program, child, space)
    }

    fn add(
        &mut self,
        parent: u32,
        program: Program,
        registers: Registers,
        space: Space,
    ) -> Result<u32, OutOfMemory> {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.is_none()) else {
            space.free();
            return Err(OutOfMemory);
        };
        self.last_pid += 1;
        let (pid, state) = (self.last_pid, State::Ready);
        *slot = Some(Process { pid, parent, program, state, registers, space: Some(space) });
        Ok(pid)
    }

    /// The one that runs.
    pub fn current(&mut self) -> &mut Process {
        self.slots[self.current].as_mut().expect("a process runs")
    }

    /// The registers of the first to run, in its address space.
    pub fn first(&mut self) -> Registers {
        switch_to(self.current().space());
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
            switch_to(self.current().space());
        }
        *registers = self.current().registers;
    }

    /// Ends the running process, and runs the next.
    pub fn end(&mut self, registers: &mut Registers, ending: Ending) {
        let process = self.current();
        let (pid, parent) = (process.pid, process.parent);
        if parent == 0 || matches!(ending, Ending::Killed(_)) {
            println!("[{pid}] {:?}: {ending}", process.program);
        }
        let space = process.space.take();
        process.state = State::Ended(ending);
        leave_user_space();
        space.into_iter().for_each(Space::free);
        if parent == 0 {
            plan::note(process.program, ending);
            self.slots[self.current] = None;
        }
        // Children that nobody will ask for, and the parent that waits for this one.
        for slot in &mut self.slots {
            match slot {
                Some(process) if process.parent == pid => {
                    process.parent = 0;
                    if matches!(process.state, State::Ended(_)) {
                        *slot = None;
                    }
                }
                Some(process) if process.pid == parent => {
                    if matches!(process.state, State::Waiting) {
                        process.state = State::Ready;
                    }
                }
                _ => {}
            }
        }
        self.resume(registers);
    }

    /// A child of the running process that has ended, taken out: its number and how. `None` if it has no children;
    /// `Some(None)` if they all go on: it waits then, and asks again once one has ended.
    pub fn wait(&mut self) -> Option<Option<(u32, Ending)>> {
        let parent = self.current().pid;
        let mut has_children = false;
        for slot in &mut self.slots {
            let Some(process) = slot else { continue };
            if process.parent != parent {
                continue;
            }
            has_children = true;
            if let State::Ended(ending) = process.state {
                let pid = process.pid;
                *slot = None;
                return Some(Some((pid, ending)));
            }
        }
        if !has_children {
            return None;
        }
        self.current().state = State::Waiting;
        Some(None)
    }
}

/// Runs in `space` from here on.
pub fn switch_to(space: &Space) {
    // SAFETY: every space maps the kernel alike, and what the TLB knows of others goes.
    unsafe { mmu::set_root(space.root(), Asid(0)) };
    tlb::all(Reach::Local);
    dsb(ISH);
    isb();
}

/// Runs in no process's address space from here on.
pub fn leave_user_space() {
    // SAFETY: as above.
    unsafe { mmu::set_root(view().root().table(), Asid(0)) };
    tlb::all(Reach::Local);
    dsb(ISH);
    isb();
}
