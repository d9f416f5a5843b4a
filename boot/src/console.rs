//! The console: semihosting's standard output, whole lines at a time, and the way out.

use core::fmt::{self, Write};

use semihosting::io::{self, Write as _};
use spin::Mutex;

use crate::{harness, percpu};

/// Bytes kept back until a line is whole.
const LINE: usize = 512;

struct Console {
    out: Option<io::Stdout>,
    line: [u8; LINE],
    used: usize,
}

static CONSOLE: Mutex<Console> = Mutex::new(Console { out: None, line: [0; LINE], used: 0 });

impl Console {
    fn flush(&mut self) {
        if self.out.is_none() {
            self.out = io::stdout().ok();
        }
        if let Some(out) = &mut self.out {
            // Nobody is left to be told that the console is gone.
            let _ = out.write_all(&self.line[..self.used]);
        }
        self.used = 0;
    }
}

impl Write for Console {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if self.used == LINE {
                self.flush();
            }
            self.line[self.used] = byte;
            self.used += 1;
            if byte == b'\n' {
                self.flush();
            }
        }
        Ok(())
    }
}

/// Writes `text`; `flush` pushes an unfinished line out as well. [`print!`](crate::print) calls it.
pub fn write(text: fmt::Arguments<'_>, flush: bool) {
    // A fault in the middle of a line finds the console locked: it takes its turn all the same, it will not
    // return.
    if let Some(mut console) = CONSOLE.try_lock() {
        let _ = console.write_fmt(text);
        if flush {
            console.flush();
        }
    } else if let Ok(mut out) = io::stdout() {
        let _ = write!(Raw(&mut out), "{text}");
    }
}

struct Raw<'a>(&'a mut io::Stdout);

impl Write for Raw<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_all(text.as_bytes()).map_err(|_| fmt::Error)
    }
}

/// Writes formatted text at once, finished line or not.
#[macro_export]
macro_rules! print {
    ($($arg:tt)*) => { $crate::console::write(format_args!($($arg)*), true) };
}

/// Writes a formatted line.
#[macro_export]
macro_rules! println {
    () => { $crate::console::write(format_args!("\n"), false) };
    ($($arg:tt)*) => { $crate::console::write(format_args!("{}\n", format_args!($($arg)*)), false) };
}

/// Ends the run: `status` becomes QEMU's exit status (SYS_EXIT_EXTENDED).
pub fn exit(status: u8) -> ! {
    print!("");
    semihosting::process::exit(status.into())
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    harness::break_line();
    match info.location() {
        Some(at) => {
            println!(
                "panic: {}, {}:{}{}{}",
                info.message(),
                at.file(),
                at.line(),
                percpu::OnOther,
                harness::During
            )
        }
        None => println!("panic: {}{}", info.message(), harness::During),
    }
    exit(1)
}
