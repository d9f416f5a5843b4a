//! System calls. Nothing that a program says is believed: its memory is reached through the library's `uaccess` alone, which
//! answers an error where the program itself may not go.

use armv7a_mm::addr::VirtAddr;
use armv7a_mm::armv7::uaccess::{self, User};

use crate::abi::call;
use crate::ending::Ending;
use crate::memory::LAYOUT;
use crate::processes::{PROCESSES, Wait};
use crate::traps::Registers;
use crate::{console, module};

/// Does what the program with `registers` asks for.
pub fn call(registers: &mut Registers) {
    let [r0, r1, ..] = registers.r;
    let answer = match registers.r[7] {
        call::EXIT => return PROCESSES.lock().end(registers, Ending::Exited(r0)),
        call::FORK => PROCESSES.lock().fork(registers).unwrap_or(call::ENOMEM),
        call::WRITE => write(r0, r1),
        call::GETPID => PROCESSES.lock().current().pid(),
        call::WAIT => return wait(registers, r0),
        call::YIELD => {
            registers.r[0] = 0;
            return PROCESSES.lock().next(registers);
        }
        call::SBRK => PROCESSES.lock().current().space().sbrk(r0).unwrap_or(call::ENOMEM),
        call::TIME => module::time().unwrap_or(call::ENOSYS),
        _ => call::ENOSYS,
    };
    registers.r[0] = answer;
}

/// Writes `count` bytes of the program's to the console; how many, or why not.
fn write(mut from: u32, count: u32) -> u32 {
    let mut left = count;
    let mut buffer = [0; 128];
    while left > 0 {
        let part = &mut buffer[..left.min(128) as usize];
        let from_user = |user: &User| user.read(VirtAddr(from), part);
        if uaccess::open(LAYOUT.user(), from_user).is_err() {
            return call::EFAULT;
        }
        console::write(part);
        from += part.len() as u32;
        left -= part.len() as u32;
    }
    count
}

/// Says how a child ended, or waits until one has: the call is then made again.
fn wait(registers: &mut Registers, status: u32) {
    let mut processes = PROCESSES.lock();
    match processes.wait() {
        Wait::NoChildren => registers.r[0] = call::ECHILD,
        Wait::Blocked => {
            registers.call_again();
            processes.next(registers);
        }
        Wait::Ended { pid, ending } => {
            drop(processes);
            // A status is what exit was given; a killed process has one that none gives.
            let word = match ending {
                Ending::Exited(word) => word,
                Ending::Killed(_) => u32::MAX,
            };
            let told = uaccess::open(LAYOUT.user(), |user| user.write_u32(VirtAddr(status), word));
            registers.r[0] = told.map_or(call::EFAULT, |()| pid);
        }
    }
}
