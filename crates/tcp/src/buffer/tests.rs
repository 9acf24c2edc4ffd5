use proptest::prelude::*;

use super::{ReceiveBuffer, SendBuffer};
use crate::SeqNumber;
use crate::segment::{SackBlock, Text};

/// Close to the point where numbers wrap.
const START: SeqNumber = SeqNumber(u32::MAX - 20);

fn read_all(buffer: &mut ReceiveBuffer) -> Vec<u8> {
    let mut out = vec![0; buffer.readable() as usize];
    assert_eq!(buffer.read(&mut out), out.len());
    out
}

#[test]
fn text_in_order_is_readable_at_once() {
    let mut buffer = ReceiveBuffer::new(1_000);
    assert_eq!(buffer.memory(), 0);
    let inserted = buffer.insert(START, START, Text::from(b"hello".as_slice()));
    assert_eq!((inserted.advanced, inserted.gap, inserted.duplicate), (5, false, None));
    assert_eq!(buffer.free(), 995);
    assert_eq!(read_all(&mut buffer), b"hello");
    buffer.release();
    assert_eq!(buffer.memory(), 0);
}

#[test]
fn a_filled_gap_frees_what_waited_behind_it() {
    let mut buffer = ReceiveBuffer::new(1_000);
    let late = buffer.insert(START, START + 5, Text::from(b" world".as_slice()));
    assert_eq!((late.advanced, late.gap), (0, true));
    assert_eq!(buffer.sack_blocks(4)[..], [SackBlock { start: START + 5, end: START + 11 }]);
    let filled = buffer.insert(START, START, Text::from(b"hello".as_slice()));
    assert_eq!((filled.advanced, filled.gap), (11, true));
    assert!(!buffer.has_gap());
    assert_eq!(read_all(&mut buffer), b"hello world");
}

#[test]
fn what_came_first_is_not_overwritten_and_is_told_as_a_duplicate() {
    let mut buffer = ReceiveBuffer::new(1_000);
    buffer.insert(START, START + 2, Text::from(b"cd".as_slice()));
    let inserted = buffer.insert(START, START, Text::from(b"ABCDE".as_slice()));
    assert_eq!(inserted.duplicate, Some(SackBlock { start: START + 2, end: START + 4 }));
    assert_eq!(inserted.advanced, 5);
    assert_eq!(read_all(&mut buffer), b"ABcdE");
    let old = buffer.insert(START + 5, START + 3, Text::from(b"xyz".as_slice()));
    assert_eq!(old.duplicate, Some(SackBlock { start: START + 3, end: START + 5 }));
    assert_eq!(read_all(&mut buffer), b"z");
}

#[test]
fn the_latest_stretch_is_told_first() {
    let mut buffer = ReceiveBuffer::new(1_000);
    for offset in [10, 30, 20] {
        buffer.insert(START, START + offset, Text::from(b"x".as_slice()));
    }
    let starts: Vec<u32> = buffer.sack_blocks(2).iter().map(|block| block.start.offset_from(START)).collect();
    assert_eq!(starts, [20, 30]);
}

#[test]
fn separate_stretches_are_bounded() {
    let mut buffer = ReceiveBuffer::new(1 << 20);
    for offset in 1..10_000 {
        buffer.insert(START, START + offset * 2, Text::from(b"x".as_slice()));
    }
    assert!(buffer.memory() <= 16_384, "{}", buffer.memory());
    let filler = vec![b'x'; 20_000];
    assert!(buffer.insert(START, START, Text::from(filler.as_slice())).advanced == 20_000);
}

#[test]
fn the_send_buffer_takes_what_fits_and_keeps_what_is_not_acknowledged() {
    let mut buffer = SendBuffer::new();
    assert_eq!(buffer.write(b"0123456789abc", 10), 10);
    assert_eq!(buffer.text(3, 4).to_vec(), b"3456");
    buffer.consume(4);
    assert_eq!(buffer.write(b"wxyz", 10), 4);
    assert_eq!(buffer.text(0, 100).to_vec(), b"456789wxyz");
    assert_eq!(buffer.text(100, 1).len(), 0);
    buffer.consume(10);
    buffer.release();
    assert_eq!((buffer.len(), buffer.memory()), (0, 0));
}

proptest! {
    /// Whatever the order and overlap of the pieces, the program reads the first text that
    /// came for each number, in order and once.
    #[test]
    fn reassembly_agrees_with_a_map_of_bytes(
        pieces in proptest::collection::vec((0_u32..300, 0_usize..80, any::<u8>(), any::<bool>()), 1..120),
        limit in 1_u32..400,
        split in 0_usize..80,
    ) {
        let mut buffer = ReceiveBuffer::new(limit);
        let mut next = START;
        let mut model: Vec<Option<u8>> = vec![None; 1 << 14];
        let mut read = 0_usize;
        for (offset, length, byte, reads) in pieces {
            // Relative to what is expected next, a little before it too.
            let expected = next.offset_from(START);
            let at = (expected + offset).saturating_sub(50);
            let bytes: Vec<u8> = (0..length).map(|index| byte.wrapping_add(index as u8)).collect();
            let window = read as u32 + limit;
            for (index, byte) in bytes.iter().enumerate() {
                let place = at as usize + index;
                if place >= expected as usize && place < window as usize && model[place].is_none() {
                    model[place] = Some(*byte);
                }
            }
            let split = split.min(bytes.len());
            let inserted = buffer.insert(next, START + at, Text::new(&bytes[..split], &bytes[split..]));
            next += inserted.advanced;
            let prefix = model.iter().take_while(|byte| byte.is_some()).count();
            prop_assert_eq!(next.offset_from(START) as usize, prefix);
            prop_assert_eq!(buffer.has_gap(), model[prefix..].iter().any(Option::is_some));
            if reads {
                let text = read_all(&mut buffer);
                let known: Vec<u8> = model[read..prefix].iter().flatten().copied().collect();
                prop_assert_eq!(text, known);
                read = prefix;
            }
        }
    }
}
