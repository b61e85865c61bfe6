//! Masking (RFC 6455 §5.3): an XOR with a key of four bytes, its own inverse.

/// Masks or unmasks `data`, which stands `offset` bytes into its frame's
/// payload.
pub fn apply(data: &mut [u8], key: [u8; 4], offset: u64) {
    let mut key = key;
    // The low two bits say where in the key the data begins.
    key.rotate_left(match offset & 3 {
        0 => 0,
        1 => 1,
        2 => 2,
        _ => 3,
    });
    let [a, b, c, d] = key;
    // Sixteen bytes at a time: one SIMD register, which the compiler finds by
    // itself in this shape.
    let wide = [a, b, c, d, a, b, c, d, a, b, c, d, a, b, c, d];
    let mut blocks = data.chunks_exact_mut(16);
    for block in &mut blocks {
        for (byte, key) in block.iter_mut().zip(wide) {
            *byte ^= key;
        }
    }
    for (byte, key) in blocks.into_remainder().iter_mut().zip(wide) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use super::apply;

    #[test]
    fn agrees_with_the_formula_of_the_rfc_at_every_length_and_offset() {
        let key = [0x37, 0xfa, 0x21, 0x3d];
        for offset in 0..9u8 {
            for length in 0..70u8 {
                let plain: Vec<u8> = (0..length).collect();
                let mut fast = plain.clone();
                apply(&mut fast, key, u64::from(offset));
                // transformed-octet-i = original-octet-i XOR masking-key-octet-(i MOD 4)
                let naive: Vec<u8> = plain
                    .iter()
                    .enumerate()
                    .map(|(i, byte)| byte ^ key[(i + usize::from(offset)) % 4])
                    .collect();
                assert_eq!(fast, naive, "length {length}, offset {offset}");
            }
        }
    }

    #[test]
    fn large_offsets_keep_their_phase() {
        let (mut near, mut far) = ([1, 2, 3, 4, 5], [1, 2, 3, 4, 5]);
        apply(&mut near, [9, 8, 7, 6], 3);
        apply(&mut far, [9, 8, 7, 6], (1 << 33) + 3);
        assert_eq!(near, far);
    }
}
