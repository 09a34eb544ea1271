use super::*;
use proptest::prelude::*;

const CODECS: [Codec; 5] = [
    Codec::None,
    Codec::Gzip,
    Codec::Snappy,
    Codec::Lz4,
    Codec::Zstd,
];
const LIMIT: u64 = 64 << 20;

pub fn compress(codec: Codec, level: Option<i32>, input: &[u8]) -> Vec<u8> {
    let mut compressor = Compressor::new(codec, level, usize::MAX).unwrap();
    compressor.write(input).unwrap();
    compressor.finish().unwrap().unwrap()
}

fn inflate(codec: Codec, input: &[u8]) -> Result<Vec<u8>, InflateError> {
    let mut inflate = Inflate::new(codec, input, LIMIT)?;
    let (mut out, mut window) = (Vec::new(), [0; 1000]);
    loop {
        match inflate.read(&mut window)? {
            0 => return Ok(out),
            count => out.extend_from_slice(&window[..count]),
        }
    }
}

fn is_corrupt(result: Result<Vec<u8>, InflateError>) -> bool {
    matches!(result, Err(InflateError::Undecodable(_)))
}

/// The bytes of a bomb are dropped as they come, so this measures nothing but the verdict.
fn bomb_size(codec: Codec, input: &[u8], limit: u64) -> Result<u64, InflateError> {
    let mut inflate = Inflate::new(codec, input, limit)?;
    let (mut total, mut window) = (0, vec![0; 64 << 10]);
    loop {
        match inflate.read(&mut window)? {
            0 => return Ok(total),
            count => total += count as u64,
        }
    }
}

#[test]
fn r224_gzip_members_follow_each_other_and_garbage_behind_them_is_ignored() {
    let mut bytes = compress(Codec::Gzip, None, b"one ");
    bytes.extend(compress(Codec::Gzip, Some(9), b""));
    bytes.extend(compress(Codec::Gzip, Some(1), b"two"));
    assert_eq!(inflate(Codec::Gzip, &bytes).unwrap(), b"one two");
    bytes.extend(b"no gzip header");
    assert_eq!(inflate(Codec::Gzip, &bytes).unwrap(), b"one two");
    assert!(is_corrupt(inflate(Codec::Gzip, b"no gzip header")));
    // A member that began is judged.
    let mut cut = compress(Codec::Gzip, None, b"one ");
    cut.extend(&compress(Codec::Gzip, None, b"two")[..15]);
    assert!(is_corrupt(inflate(Codec::Gzip, &cut)));
}

#[test]
fn r223_raw_snappy_is_told_from_the_framed_one_by_the_magic() {
    let raw = snap::raw::Encoder::new().compress_vec(b"raw").unwrap();
    assert_eq!(inflate(Codec::Snappy, &raw).unwrap(), b"raw");
    let mut framed = compress(Codec::Snappy, None, b"framed ");
    assert!(framed.starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
    framed[8..16].copy_from_slice(&[1, 0, 0, 0, 1, 0, 0, 0]); // kafka-python#2483
    framed.extend(compress(Codec::Snappy, None, b"twice"));
    assert_eq!(inflate(Codec::Snappy, &framed).unwrap(), b"framed twice");
}

#[test]
fn a_snappy_length_is_checked_before_it_is_allocated() {
    // Declares 4 GiB in six bytes, raw and as a block.
    let raw = [0xff, 0xff, 0xff, 0xff, 0x0f, 0x00];
    assert!(is_corrupt(inflate(Codec::Snappy, &raw)));
    let mut framed = compress(Codec::Snappy, None, b"");
    framed.extend([0, 0, 0, 6]);
    framed.extend(raw);
    assert!(is_corrupt(inflate(Codec::Snappy, &framed)));
    let mut longer = compress(Codec::Snappy, None, b"");
    longer.extend([0x7f, 0xff, 0xff, 0xff]);
    assert!(is_corrupt(inflate(Codec::Snappy, &longer)));
}

#[test]
fn r224_lz4_frames_with_linked_blocks_sizes_and_checksums_are_read() {
    let text: Vec<u8> = (0..400_000u32)
        .map(|i| (i.wrapping_mul(i) >> 7) as u8)
        .collect();
    for mode in [BlockMode::Linked, BlockMode::Independent] {
        for size in [None, Some(text.len() as u64)] {
            let info = FrameInfo::new()
                .block_mode(mode)
                .block_size(BlockSize::Max64KB)
                .block_checksums(size.is_some())
                .content_checksum(size.is_none())
                .content_size(size);
            let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
            encoder.write_all(&text).unwrap();
            let mut bytes = encoder.finish().unwrap();
            assert_eq!(inflate(Codec::Lz4, &bytes).unwrap(), text);
            bytes.extend(b"behind");
            assert_eq!(inflate(Codec::Lz4, &bytes).unwrap(), text);
        }
    }
}

#[test]
fn r224_lz4_is_written_as_kafka_writes_it() {
    let bytes = compress(Codec::Lz4, None, b"some text");
    assert_eq!(bytes[..7], [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]);
    assert_eq!(bytes[bytes.len() - 4..], [0; 4]);
}

#[test]
fn an_lz4_frame_without_end_mark_is_corrupt() {
    let bytes = compress(Codec::Lz4, None, b"some text");
    assert!(is_corrupt(inflate(Codec::Lz4, &bytes[..bytes.len() - 4])));
}

#[test]
fn r224_zstd_frames_follow_each_other_within_a_window_of_128_mib() {
    let mut bytes = compress(Codec::Zstd, None, b"one ");
    bytes.extend(compress(Codec::Zstd, Some(19), b"two"));
    assert_eq!(inflate(Codec::Zstd, &bytes).unwrap(), b"one two");
    for (window_log, accepted) in [(27, true), (28, false)] {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(window_log).unwrap();
        encoder.write_all(b"text").unwrap();
        let bytes = encoder.finish().unwrap();
        assert_eq!(inflate(Codec::Zstd, &bytes).is_ok(), accepted);
    }
}

#[test]
fn a_bomb_is_refused_by_its_size_or_its_ratio() {
    let zeros = vec![0; 12 << 20];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let bytes = compress(codec, None, &zeros);
        let small = bomb_size(codec, &bytes, 1 << 20);
        assert!(
            matches!(small, Err(InflateError::TooLarge { .. })),
            "{codec:?}"
        );
        // Only zstd packs zeros more than a thousandfold (gzip: 1027 : 1).
        let ratio = zeros.len() / bytes.len();
        let large = bomb_size(codec, &bytes, LIMIT);
        assert_eq!(large.is_err(), ratio >= 1000, "{codec:?}: {ratio}");
    }
    // Up to 8 MiB any ratio goes.
    let bytes = compress(Codec::Zstd, None, &zeros[..8 << 20]);
    assert_eq!(bomb_size(Codec::Zstd, &bytes, LIMIT).unwrap(), 8 << 20);
}

#[test]
fn output_beyond_the_cap_is_dropped() {
    for codec in CODECS {
        let mut compressor = Compressor::new(codec, None, 10).unwrap();
        compressor.write(b"certainly more than that").unwrap();
        assert_eq!(compressor.finish().unwrap(), None, "{codec:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_codec_gives_back_what_it_took(
        seed in proptest::collection::vec(any::<u8>(), 0..300),
        repeat in 0usize..1000,
    ) {
        let text = seed.repeat(repeat);
        for codec in CODECS {
            let bytes = compress(codec, None, &text);
            prop_assert_eq!(&inflate(codec, &bytes).unwrap(), &text);
        }
    }

    #[test]
    fn damaged_payloads_never_panic(
        text in proptest::collection::vec(any::<u8>(), 1..2000),
        at: proptest::sample::Index,
        flip in 1u8..,
        cut: proptest::sample::Index,
    ) {
        for codec in CODECS {
            let mut bytes = compress(codec, None, &text);
            let length = bytes.len();
            bytes[at.index(length)] ^= flip;
            let _ = inflate(codec, &bytes);
            let _ = inflate(codec, &bytes[..cut.index(length)]);
        }
    }
}

#[test]
fn what_inflating_takes_follows_from_what_the_payload_declares() {
    const MIB: usize = 1 << 20;
    let takes = |codec, input: &[u8]| inflating_takes(codec, input, 64 << 20);
    let zeros = vec![0; MIB];
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let mut compressor = Compressor::new(codec, None, MIB).expect("a codec");
        compressor.write(&zeros).expect("compressed");
        let bytes = compressor.finish().expect("compressed").expect("small");
        let taken = takes(codec, &bytes);
        assert!(taken <= 3 * MIB, "{codec:?}: {taken}");
    }
    // The largest window that is accepted, and one beyond it, which fails later.
    let zstd = |descriptor| [0x28, 0xb5, 0x2f, 0xfd, 0, descriptor];
    assert_eq!(takes(Codec::Zstd, &zstd(17 << 3)), 128 * MIB + WINDOW);
    assert_eq!(takes(Codec::Zstd, &zstd(31 << 3)), 128 * MIB + WINDOW);
    // A content of 5 MiB in a single segment.
    let single = [
        &[0x28, 0xb5, 0x2f, 0xfd, 0xa0][..],
        &(5 * MIB as u32).to_le_bytes(),
    ]
    .concat();
    assert_eq!(takes(Codec::Zstd, &single), 5 * MIB + WINDOW);
    // 2^32 - 1 bytes of raw snappy: as much as may be inflated at all.
    assert_eq!(
        takes(Codec::Snappy, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
        64 * MIB + WINDOW
    );
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        assert!(takes(codec, &[]) <= 4 * WINDOW, "{codec:?}");
    }
}
