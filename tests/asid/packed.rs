//! A canonical state's name: all of it, in 128 bits. So no two states have the same.

use armv7a_mm::mm::asid::Book;

use super::bits::{Bits, ID, NAME};
use super::canonical::NOW;
use super::system::{At, BUSY, Cpu, Edit, State, TAKEN};
use super::watch::{Knows, Watch};

/// Bits of a CPU, with what the book says of it.
const CPU: u32 = 2 + NAME + ID + 2 * NAME + (2 + ID) + ID + 1;

impl<const CPUS: usize, const ASIDS: usize, const SPACES: usize> State<CPUS, ASIDS, SPACES, Watch> {
    const FITS: () = {
        assert!(ASIDS <= 1 << NAME && SPACES < 1 << NAME);
        let all =
            CPUS as u32 * CPU + SPACES as u32 * ID + (ASIDS as u32 - 1) + 1 + 2 * (2 + 2 * NAME);
        assert!(all <= u128::BITS);
    };

    /// The name of a canonical state.
    pub fn pack(&self) -> u128 {
        let () = Self::FITS;
        let mut bits = Bits(0);
        for (cpu, it) in self.cpus.iter().enumerate() {
            let Cpu { at, space, number, active } = *it;
            bits.put(at.kind(), 2);
            bits.put_name(at.to().unwrap_or(0));
            bits.put_id(at.wanted().unwrap_or(0));
            bits.put_name(space);
            bits.put_name(number);
            bits.put(active >> 62, 2);
            bits.put_id(active & !(BUSY | TAKEN));
            bits.put_id(self.book.reserved[cpu]);
            bits.put(self.book.pending[cpu].into(), 1);
        }
        self.ids.iter().for_each(|id| bits.put_id(*id));
        bits.put(u64::from(self.book.used[0] >> 1), ASIDS as u32 - 1);
        bits.put(self.locked.into(), 1);
        let Watch { space, number, knows, .. } = self.tlbs;
        bits.put(knows as u64, 2);
        bits.put_name(space);
        bits.put_name(number);
        let kind = match self.edit {
            Edit::None => 0,
            Edit::Stored { .. } => 1,
            Edit::Read { .. } => 2,
            Edit::Early { .. } => 3,
        };
        bits.put(kind, 2);
        bits.put_name(self.edit.space().unwrap_or(0));
        bits.put_name(self.edit.read().unwrap_or(0));
        bits.0
    }

    /// The canonical state of a name.
    pub fn unpack(name: u128) -> Self {
        let mut bits = Bits(name);
        let (number, space) = (bits.take_name(), bits.take_name());
        let edit = match bits.take(2) {
            0 => Edit::None,
            1 => Edit::Stored { space },
            2 => Edit::Read { space, number },
            _ => Edit::Early { space, number },
        };
        let (number, space) = (bits.take_name(), bits.take_name());
        let knows =
            [Knows::Nothing, Knows::Current, Knows::Old, Knows::Stale][bits.take(2) as usize];
        let mut state = Self { edit, tlbs: Watch { cpu: 0, space, number, knows }, ..Self::new() };
        state.locked = bits.take(1) != 0;
        state.book = Book { generation: NOW, ..Book::new() };
        state.book.used[0] |= (bits.take(ASIDS as u32 - 1) as u32) << 1;
        state.ids.iter_mut().rev().for_each(|id| *id = bits.take_id());
        for cpu in (0..CPUS).rev() {
            state.book.pending[cpu] = bits.take(1) != 0;
            state.book.reserved[cpu] = bits.take_id();
            let active = bits.take_id();
            let active = active | bits.take(2) << 62;
            let (number, space) = (bits.take_name(), bits.take_name());
            let (wanted, to) = (bits.take_id(), bits.take_name());
            let at = match bits.take(2) {
                0 => At::Home,
                1 => At::Ready { to, wanted },
                2 => At::Busy { to, wanted },
                _ => At::Locked { to, wanted },
            };
            state.cpus[cpu] = Cpu { at, space, number, active };
        }
        state.put_back();
        state
    }
}
