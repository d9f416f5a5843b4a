//! Three answers to one question: what the hardware says (ATS1C**, PAR), what the tables say by the library's
//! own walk, and what [`inspect`](armv7a_mm::table::inspect) makes of the live registers and memory.

use armv7a_mm::addr::{PhysAddr, VirtAddr};
use armv7a_mm::armv7::check::{self, Outcome};
use armv7a_mm::armv7::mmu::{self, Query};
use armv7a_mm::attr::{Access, MemoryType};
use armv7a_mm::format::control::Registers;
use armv7a_mm::format::{self, Active, Entry};
use armv7a_mm::table::inspect::{
    Allocate, Cacheability, Inspector, Intent, Leaf, Memory, Request, Rights,
};
use armv7a_mm::table::node::Node;
use armv7a_mm::table::walk;

use crate::kernel::kernel;
use crate::live;
use crate::memory::{Machine, machine};

/// What the tables map an address to.
type Found = walk::Translation<Active>;

/// Who did not agree with the tables, and what both said.
#[derive(Debug)]
#[expect(dead_code, reason = "to be printed")]
pub enum Disagreement {
    /// The hardware.
    Hardware(check::Disagreement),
    /// The inspector, on an access.
    Inspector { va: VirtAddr, request: Request, says: Outcome, tables: Outcome },
    /// The inspector, on what a leaf means.
    Leaf { va: VirtAddr, says: Leaf, tables: Found },
}

/// The live tables, to ask about.
pub struct Oracle<'n, R> {
    root: Node<'n, Active, Machine>,
    inspector: Inspector<R>,
}

/// The tables that this CPU walks now.
pub fn live() -> Oracle<'static, impl Fn(PhysAddr) -> Option<u32>> {
    // SAFETY: the live root stays while it is live, and no test keeps an oracle beyond that.
    of(unsafe { Node::new(machine(), mmu::root(), 0) })
}

/// The tables below `root`, one of those that this CPU walks now.
pub fn of(root: Node<'_, Active, Machine>) -> Oracle<'_, impl Fn(PhysAddr) -> Option<u32> + use<>> {
    Oracle { root, inspector: live::inspector(kernel()) }
}

impl<'n, R: Fn(PhysAddr) -> Option<u32>> Oracle<'n, R> {
    /// The root of the tables.
    pub fn root(&self) -> Node<'n, Active, Machine> {
        self.root
    }

    /// Whether the tables map `va`.
    pub fn translates(&self, va: VirtAddr) -> bool {
        walk::translate(&self.root, va).is_some()
    }

    /// Asks all three about `va`, for every kind of access.
    ///
    /// # Errors
    /// The first [`Disagreement`].
    pub fn agree(&self, va: VirtAddr) -> Result<(), Disagreement> {
        check::agree_at(&self.root, va).map_err(Disagreement::Hardware)?;
        let found = walk::translate(&self.root, va).map(|found| {
            let leaf = found.leaf().expect("the library writes no other");
            (found, leaf)
        });
        // QEMU's PAR has all of MAIR's byte, of which the check leaves out what another CPU may change.
        if let (Some((_, leaf)), Ok(cpu)) = (&found, mmu::ask(va, Query::KernelRead))
            && Active::LPAE
            && cpu.memory != check::mair(leaf.attrs.memory)
        {
            let memory = check::Disagreement::Memory { va, cpu, tables: leaf.attrs };
            return Err(Disagreement::Hardware(memory));
        }
        self.inspect(va, found.as_ref())
    }

    fn inspect(
        &self,
        va: VirtAddr,
        found: Option<&(Found, format::Leaf)>,
    ) -> Result<(), Disagreement> {
        for query in Query::ALL {
            let request = request(query);
            let tables =
                check::outcome(&self.root, va, query).expect("the library writes no other");
            let says = self.inspector.translate(va, request);
            let says = says.map(|found| found.pa).map_err(|f| (f.kind, Some(f.depth)));
            if says != tables {
                return Err(Disagreement::Inspector { va, request, says, tables });
            }
        }
        let accessible = found.filter(|(_, leaf)| leaf.attrs.access != Access::None);
        match (self.inspector.walk(va), accessible) {
            (Ok(says), Some((tables, leaf))) if !self.means(va, &says, tables, leaf) => {
                Err(Disagreement::Leaf { va, says, tables: *tables })
            }
            _ => Ok(()),
        }
    }

    /// Whether the inspector's leaf means what the tables' does, execution by the kernel included.
    fn means(&self, va: VirtAddr, says: &Leaf, tables: &Found, leaf: &format::Leaf) -> bool {
        let attrs = leaf.attrs;
        let pxn = walk::trace(&self.root, va).any(|step| match step.entry {
            Entry::Table(table) => table.pxn,
            Entry::Leaf(leaf) => leaf.pxn,
            _ => false,
        });
        let data = match attrs.access {
            Access::None => Rights::empty(),
            Access::Read | Access::ReadExecute => Rights::READ,
            Access::ReadWrite => Rights::READ | Rights::WRITE,
        };
        let all = match attrs.access {
            Access::ReadExecute => data | Rights::EXECUTE,
            _ => data,
        };
        says.kernel == if pxn { data } else { all }
            && says.user == if attrs.user { all } else { Rights::empty() }
            && says.memory == memory(attrs.memory)
            && says.share == check::shareability(attrs)
            && (says.global, says.young) == (attrs.global, attrs.young)
            && says.contiguous == (Active::LPAE && leaf.run)
            && says.kind.depth() == Some(tables.depth)
            && says.locate(va) == Some(tables.phys)
    }
}

fn request(query: Query) -> Request {
    match query {
        Query::KernelRead => Request::kernel(Intent::Read),
        Query::KernelWrite => Request::kernel(Intent::Write),
        Query::UserRead => Request::user(Intent::Read),
        Query::UserWrite => Request::user(Intent::Write),
    }
}

/// A memory type in the inspector's words.
fn memory(memory: MemoryType) -> Memory {
    let hints = |write| Allocate { read: true, write, transient: false };
    let cache = match memory {
        MemoryType::StronglyOrdered => return Memory::StronglyOrdered,
        MemoryType::Device => return Memory::Device,
        MemoryType::NonCacheable => Cacheability::NonCacheable,
        MemoryType::WriteThrough => Cacheability::WriteThrough(hints(false)),
        MemoryType::WriteBack => Cacheability::WriteBack(hints(false)),
        MemoryType::WriteBackWriteAllocate => Cacheability::WriteBack(hints(true)),
    };
    Memory::Normal { inner: cache, outer: cache }
}
