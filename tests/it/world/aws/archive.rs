//! Archives as a training leaves them and as a source comes to it.

use std::io::Read;

/// Packs files: names and bytes.
pub fn packed(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes.as_slice()).expect("a file in memory");
    }
    let tar = tar.into_inner().expect("an archive in memory");
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::default());
    let mut out = vec![0; compressor.gzip_compress_bound(tar.len())];
    let size = compressor.gzip_compress(&tar, &mut out).expect("room for it");
    out.truncate(size);
    out
}

/// Unpacks a `tar.gz` of files.
pub fn unpacked(bytes: &[u8]) -> Vec<(String, Vec<u8>)> {
    let size = bytes.last_chunk::<4>().map_or(0, |size| u32::from_le_bytes(*size) as usize);
    let mut tar = vec![0; size];
    let mut decompressor = libdeflater::Decompressor::new();
    decompressor.gzip_decompress(bytes, &mut tar).expect("gzip in one piece");
    let mut archive = tar::Archive::new(tar.as_slice());
    let mut files = Vec::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        if entry.header().entry_type().is_file() {
            let name = entry.path().expect("a name").to_string_lossy().into_owned();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).expect("its bytes");
            files.push((name, bytes));
        }
    }
    files
}

/// Reads the files below a folder, by name.
pub fn files_below(folder: &std::path::Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<(String, Vec<u8>)> = walkdir::WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let name = entry.path().strip_prefix(folder).expect("below it").to_string_lossy().replace('\\', "/");
            (name, std::fs::read(entry.path()).expect("a file that is there"))
        })
        .collect();
    files.sort();
    files
}
