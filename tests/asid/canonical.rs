//! One of the many states that are the same but for names: of CPUs, of spaces, and of generations.

use super::system::{At, Edit, Known, NOBODY, State, Without};

const BUSY: u64 = 1 << 63;
const TAKEN: u64 = 1 << 62;

impl<const CPUS: usize, const ASIDS: usize, const SPACES: usize> State<CPUS, ASIDS, SPACES> {
    /// The state under canonical names, with what CPU 0 knows by one number alone. States that get the same are the same;
    /// not all that are do.
    pub fn canonical(mut self, without: Without, focus: usize) -> Self {
        for (index, cpu) in self.cpus.iter_mut().enumerate() {
            let seen = |number: usize| index == 0 && number == focus;
            (0..ASIDS).filter(|number| !seen(*number)).for_each(|n| cpu.tlb[n] = Known::default());
        }
        if !matches!(without, Without::Flush | Without::Exchange) {
            self.drop_what_is_flushed();
        }
        let free = (self.book.next..ASIDS).find(|number| self.book.used[0] >> number & 1 == 0);
        self.book.next = free.unwrap_or(ASIDS);
        self.rename_generations();
        self.sort_cpus();
        self.sort_spaces();
        self
    }

    /// What a CPU forgets before it runs under another number is as good as forgotten.
    fn drop_what_is_flushed(&mut self) {
        for (cpu, pending) in self.cpus.iter_mut().zip(self.book.pending) {
            if pending && matches!(cpu.at, At::Home | At::Locked { .. }) {
                let own = usize::from(cpu.number);
                (0..ASIDS)
                    .filter(|number| *number != own)
                    .for_each(|n| cpu.tlb[n] = Known::default());
            }
        }
    }

    /// Of identifiers of past generations all that counts is which are equal, and their numbers.
    fn rename_generations(&mut self) {
        let [alone, kept, both, now] = [1, 2, 3, 4].map(|rank: u64| rank << 8);
        let (generation, old) = (self.book.generation, self.clone());
        let renamed = |id: u64, past: u64| {
            let is_now = (id & !BUSY ^ generation) >> 8 == 0;
            id & (BUSY | 0xFF) | if is_now { now } else { past }
        };
        for id in self.ids.iter_mut().filter(|id| **id != 0) {
            let is_kept = old.book.reserved.contains(id);
            *id = renamed(*id, if is_kept { both } else { alone });
        }
        for (reserved, cpu) in self.book.reserved.iter_mut().zip(&old.cpus) {
            let known = old.ids.contains(reserved);
            *reserved = match *reserved {
                0 => 0,
                // The next rollover takes the active one in its place.
                _ if !known && cpu.active != TAKEN => 0,
                id => renamed(id, if known { both } else { kept }),
            };
        }
        for cpu in &mut self.cpus {
            if cpu.active != TAKEN {
                cpu.active = renamed(cpu.active, alone);
            }
            if let At::Ready { wanted, .. } | At::Busy { wanted, .. } | At::Locked { wanted, .. } =
                &mut cpu.at
            {
                *wanted = renamed(*wanted, alone);
            }
        }
        self.book.generation = now;
    }

    fn sort_cpus(&mut self) {
        let mut order: Vec<usize> = (0..CPUS).collect();
        // The first is the one that is looked at.
        order[1..].sort_by_key(|&cpu| {
            let it = &self.cpus[cpu];
            (it.at, it.number, it.active, self.book.reserved[cpu], self.book.pending[cpu], it.tlb)
        });
        let old = self.clone();
        for (to, from) in order.into_iter().enumerate() {
            self.cpus[to] = old.cpus[from];
            self.book.reserved[to] = old.book.reserved[from];
            self.book.pending[to] = old.book.pending[from];
        }
    }

    fn sort_spaces(&mut self) {
        let key = |space: usize| {
            let bit = |spaces: u8| spaces >> space & 1;
            let known = self.cpus.map(|cpu| cpu.tlb.map(|known| bit(known.spaces)));
            let runs =
                self.cpus.map(|cpu| (cpu.space == space as u8, cpu.at.to() == Some(space as u8)));
            (self.ids[space], runs, known)
        };
        let mut order: Vec<usize> = (0..SPACES).collect();
        order.sort_by_key(|&space| key(space));
        let mut names = [NOBODY; NOBODY as usize + 1];
        for (to, &from) in order.iter().enumerate() {
            names[from] = to as u8;
        }
        let rename = |space: &mut u8| *space = names[*space as usize];
        let ids = self.ids;
        for (to, from) in order.into_iter().enumerate() {
            self.ids[to] = ids[from];
        }
        for cpu in &mut self.cpus {
            rename(&mut cpu.space);
            if let At::Ready { to, .. } | At::Busy { to, .. } | At::Locked { to, .. } = &mut cpu.at
            {
                rename(to);
            }
            for known in &mut cpu.tlb {
                let old = known.spaces;
                known.spaces = 0;
                (0..SPACES).for_each(|from| known.spaces |= (old >> from & 1) << names[from]);
            }
        }
        match &mut self.edit {
            Edit::None => {}
            Edit::Stored { space } | Edit::Read { space, .. } | Edit::Early { space, .. } => {
                rename(space)
            }
        }
    }
}
