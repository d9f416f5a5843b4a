//! The kernel's memory map as a drawing, read back from the live tables.

use core::fmt;
use core::ops::ControlFlow;

use armv7a_mm::addr::VirtRange;
use armv7a_mm::attr::{Access, Attrs, MemoryType};
use armv7a_mm::format::{Active, Format, RUN};
use armv7a_mm::table::walk::{self, Mapped};

use crate::kernel::{Kernel, LAYOUT, kernel};
use crate::{image, live, println};

/// Neighbouring leaves of one kind, which map neighbouring memory with one meaning.
struct Row {
    first: Mapped,
    range: VirtRange,
}

impl Row {
    /// Takes `next` in, if it continues the row.
    fn extend(&mut self, next: &Mapped) -> bool {
        let continues = self.range.last().0.wrapping_add(1) == next.range.start().0
            && self.first.phys.as_u64() + self.range.bytes() == next.phys.as_u64()
            && (self.first.depth, self.first.leaf.run, self.first.leaf.attrs)
                == (next.depth, next.leaf.run, next.leaf.attrs)
            && label(self.range) == label(next.range);
        if continues {
            self.range = self.range.hull(next.range);
        }
        continues
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let level = &Active::LEVELS[self.first.depth];
        let leaf = u64::from(level.span()) * if self.first.leaf.run { RUN as u64 } else { 1 };
        let attrs = self.first.leaf.attrs;
        write!(
            f,
            "{} -> {:#011x} {:>5} in {:>4} {} {} {}  {}",
            self.range,
            self.first.phys.as_u64(),
            Size(self.range.bytes()),
            Size(leaf),
            level.name,
            Permissions(attrs),
            memory(attrs.memory),
            label(self.range),
        )
    }
}

/// Bytes in the largest unit that leaves no remainder.
struct Size(u64);

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(30, "G"), (20, "M"), (10, "K")];
        let unit = units.into_iter().find(|(shift, _)| self.0.trailing_zeros() >= *shift);
        let (shift, name) = unit.unwrap_or((0, "B"));
        let mut text = [0; 8];
        let text = print_into(&mut text, self.0 >> shift, name);
        f.pad(text)
    }
}

/// `value` and `unit` in `buffer`, so that they can be padded together.
fn print_into<'a>(buffer: &'a mut [u8; 8], mut value: u64, unit: &str) -> &'a str {
    let mut at = buffer.len() - unit.len();
    buffer[at..].copy_from_slice(unit.as_bytes());
    loop {
        at -= 1;
        buffer[at] = b'0' + (value % 10) as u8;
        value /= 10;
        if value == 0 || at == 0 {
            return core::str::from_utf8(&buffer[at..]).unwrap_or_default();
        }
    }
}

struct Permissions(Attrs);

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rights = match self.0.access {
            Access::None => "---",
            Access::Read => "r--",
            Access::ReadWrite => "rw-",
            Access::ReadExecute => "r-x",
        };
        let user = if self.0.user { rights } else { "---" };
        write!(f, "kernel {rights} user {user}")
    }
}

fn memory(memory: MemoryType) -> &'static str {
    match memory {
        MemoryType::StronglyOrdered => "strongly ordered",
        MemoryType::Device => "device",
        MemoryType::WriteThrough => "write-through",
        MemoryType::WriteBack => "write-back",
        MemoryType::NonCacheable => "non-cacheable",
        MemoryType::WriteBackWriteAllocate => "write-back",
    }
}

/// What the kernel uses a range for.
fn label(range: VirtRange) -> &'static str {
    let device = kernel().devices.iter().find(|device| VirtRange::page(device.at) == range);
    let stack = |(_, stack): (_, VirtRange)| stack.encloses(range);
    if let Some(device) = device {
        device.name
    } else if range == LAYOUT.vectors() {
        "vectors"
    } else if image::text().encloses(range) {
        "text"
    } else if image::rodata().encloses(range) {
        "rodata"
    } else if image::data().encloses(range) {
        "data"
    } else if image::stacks().any(stack) {
        "stack"
    } else if image::heap().encloses(range) {
        "table heap"
    } else if image::early_tables().encloses(range) {
        "early tables"
    } else {
        "RAM"
    }
}

/// Prints the map of the kernel half, whether it keeps W^X, and what RAM is not in it.
pub fn draw(kernel: &Kernel) {
    println!("swapper_pg_dir at {}:", kernel.view.node().table());
    let mut row: Option<Row> = None;
    let _: ControlFlow<()> = walk::visit(&kernel.view.node(), VirtRange::ALL, &mut |leaf| {
        if !row.as_mut().is_some_and(|row| row.extend(&leaf))
            && let Some(row) = row.replace(Row { range: leaf.range, first: leaf })
        {
            println!("  {row}");
        }
        ControlFlow::Continue(())
    });
    if let Some(row) = row {
        println!("  {row}");
    }
    match live::write_xor_execute(kernel) {
        Ok(leaves) => {
            println!("W^X: no mapping is both writable and executable ({leaves} leaves checked)");
        }
        Err(breach) => println!("W^X: broken, {breach}"),
    }
    if let Some(high) = kernel.high {
        println!(
            "{} MiB of RAM from {:#x} lie outside the linear map, for user space and windows",
            high.bytes >> 20,
            high.base
        );
    }
    if kernel.unreached > 0 {
        println!(
            "{} MiB of RAM beyond 4 GiB stay unused: the {} format reaches them by supersections alone",
            kernel.unreached >> 20,
            Active::NAME
        );
    }
}
