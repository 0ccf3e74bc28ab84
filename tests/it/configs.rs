//! Every file in `fixtures/configs`: the valid ones load to what stands beside them, the invalid ones say what
//! stands beside them. `UPDATE_EXPECT=1` writes the texts anew; read them as a user would.

use branchline::config::SourceText;
use branchline::config::load;
use branchline::config::resolved_yaml;
use expect_test::expect_file;
use std::path::Path;
use std::path::PathBuf;

fn fixtures(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/configs").join(folder);
    let entries = std::fs::read_dir(&folder).expect("the folder of fixtures");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    files.sort();
    files
}

fn yaml_files(folder: &str) -> Vec<(PathBuf, SourceText)> {
    let files = fixtures(folder).into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    let source = |path: &Path| {
        let text = String::from_utf8(std::fs::read(path).expect("a readable fixture")).expect("UTF-8");
        SourceText::new("branchline.yaml", text)
    };
    files.map(|path| (path.clone(), source(&path))).collect()
}

#[test]
fn valid_files_load_to_what_stands_beside_them() {
    let files = yaml_files("valid");
    assert!(files.len() >= 8, "{}", files.len());
    for (path, source) in files {
        match load(&source, &source) {
            Ok(config) => expect_file![path.with_extension("txt")].assert_eq(&resolved_yaml(&config)),
            Err(problems) => panic!("{}:\n{problems}", path.display()),
        }
    }
}

#[test]
fn invalid_files_say_what_stands_beside_them() {
    let files = yaml_files("invalid");
    assert!(files.len() >= 35, "{}", files.len());
    for (path, source) in files {
        match load(&source, &source) {
            Ok(_) => panic!("{} loads", path.display()),
            Err(problems) => {
                expect_file![path.with_extension("txt")].assert_eq(&format!("{problems}\n"));
                for (_, problem) in problems.iter() {
                    assert!(problem.hint.is_some(), "{}: `{}` has no hint", path.display(), problem.message);
                }
            }
        }
    }
}

#[test]
fn no_text_stands_beside_nothing() {
    for path in ["valid", "invalid"].into_iter().flat_map(fixtures) {
        assert!(path.with_extension("yaml").exists(), "{} belongs to no file", path.display());
    }
}
