//! Numbers dealt out, one after another.

use armv7a_mm::mm::asid::Book;

type Whole = Book<2, 256>;

const GENERATION: u64 = 1 << 8;

/// All that are left in a generation.
fn rest<const CPUS: usize, const ASIDS: usize>(book: &mut Book<CPUS, ASIDS>) -> Vec<u64> {
    std::iter::from_fn(|| book.renew(0)).collect()
}

#[test]
fn each_number_once_and_never_the_reserved_one() {
    let all: Vec<u64> = (1..256).map(|number| GENERATION | number).collect();
    assert_eq!(rest(&mut Whole::new()), all);
    let few: Vec<u64> = (1..40).map(|number| GENERATION | number).collect();
    assert_eq!(rest(&mut Book::<38, 40>::new()), few);
}

#[test]
fn an_identifier_of_this_generation_stays() {
    let mut book = Whole::new();
    let id = book.renew(0).expect("the first");
    assert_eq!(book.renew(id), Some(id));
    assert_eq!(book.renew(0), Some(id + 1));
    assert_eq!(book.next, 3, "none below is free");
}

#[test]
fn what_runs_keeps_its_number() {
    let mut book = Whole::new();
    let ids = rest(&mut book);
    // The first is the last of a word's: the search for others goes past it.
    let (mine, theirs, gone) = (ids[30], ids[200], ids[3]);
    book.roll_over(|cpu| Some([mine, theirs][cpu]));
    assert_eq!((book.pending, book.reserved), ([true; 2], [mine, theirs]));
    // Theirs by another CPU, too; all else anew, the same number where it is free.
    assert_eq!(book.renew(theirs), Some(theirs + GENERATION));
    assert_eq!(book.renew(gone), Some(gone + GENERATION));
    let others = rest(&mut book);
    assert_eq!(others.len(), 255 - 3);
    assert!(!others.iter().any(|id| [mine, theirs, gone].contains(&(id - GENERATION))));
}

/// A CPU that has not switched for several generations keeps its number in each, whether or not anybody else asked
/// for its space's meanwhile.
#[test]
fn b22_a_cpu_that_never_switches() {
    let mut book = Whole::new();
    let mut mine = book.renew(0).expect("the first");
    let start = mine;
    let mut active = Some(mine);
    for round in 0..6 {
        let last = rest(&mut book).pop().expect("some");
        book.roll_over(|cpu| if cpu == 0 { active.take() } else { Some(last) });
        if round % 2 == 0 {
            mine = book.renew(mine).expect("it is kept");
        }
        assert_eq!(book.reserved[0], mine);
        assert!(!rest(&mut book.clone()).iter().any(|id| *id as u8 == start as u8));
    }
    assert_eq!(mine as u8, start as u8);
}

/// Where all CPUs keep a number, one is left.
#[test]
fn one_is_left_behind_a_rollover() {
    let mut book = Book::<3, 5>::new();
    let ids = rest(&mut book);
    book.roll_over(|cpu| Some(ids[cpu]));
    assert_eq!(rest(&mut book), [(2 * GENERATION) | 4]);
}
