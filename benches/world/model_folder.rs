//! A model as people save it: half of its bytes weights that hardly compress, half text that compresses well.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;

/// How large each file is, about.
const FILE: usize = 64 << 20;

/// Writes about `bytes` into `folder`.
pub fn make(folder: &Path, bytes: usize) {
    fs::create_dir_all(folder).expect("the folder can be made");
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for index in 0..(bytes / 2).div_ceil(FILE) {
        write(&folder.join(format!("weights-{index}.bin")), bytes / 2 - index * FILE, |block| {
            floats(block, &mut random)
        });
        write(&folder.join(format!("vocabulary-{index}.json")), bytes / 2 - index * FILE, |block| {
            json(block, &mut random);
        });
    }
}

fn write(path: &Path, most: usize, mut fill: impl FnMut(&mut Vec<u8>)) {
    let mut file = fs::File::create(path).expect("the file can be made");
    let (mut left, mut block) = (most.min(FILE), Vec::new());
    while left > 0 {
        block.clear();
        fill(&mut block);
        block.truncate(left);
        file.write_all(&block).expect("the file can be written");
        left -= block.len();
    }
}

/// Weights around zero as 32-bit floats: random mantissas, few exponents.
fn floats(block: &mut Vec<u8>, random: &mut Random) {
    for _ in 0..(1 << 16) {
        let sum: f32 = (0..4).map(|_| random.next() as f32 / u32::MAX as f32 - 0.5).sum();
        block.extend_from_slice(&(sum * 0.05).to_le_bytes());
    }
}

fn json(block: &mut Vec<u8>, random: &mut Random) {
    let mut text = String::new();
    for _ in 0..4096 {
        let (token, score) = (random.next() % 50_000, f64::from(random.next() % 100_000) / 100_000.0);
        let _ = writeln!(
            text,
            "  {{\"token\": \"word{token}\", \"id\": {token}, \"score\": {score}, \"special\": false}},"
        );
    }
    block.extend_from_slice(text.as_bytes());
}

/// xorshift64*: the same bytes on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u32 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 32) as u32
    }
}
