//! What is printed, word for word, as somebody has read it.

use std::fs;
use std::path::Path;

/// Compares each text with the file of its name in a folder, below the tests. `VFIO_BIND_RENEW=1` writes them anew.
pub fn compare(folder: &str, texts: &[(String, String)]) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let renew = std::env::var_os("VFIO_BIND_RENEW").is_some();
    let mut different = Vec::new();
    for (name, text) in texts {
        let file = folder.join(format!("{name}.txt"));
        if renew {
            fs::create_dir_all(&folder).unwrap();
            fs::write(&file, text).unwrap();
        } else if fs::read_to_string(&file).unwrap_or_default() != *text {
            different.push(format!(
                "{} is not what is printed now:\n{text}",
                file.display()
            ));
        }
    }
    assert!(
        different.is_empty(),
        "{}\nVFIO_BIND_RENEW=1 writes them anew",
        different.join("\n")
    );
    let files = fs::read_dir(folder).unwrap();
    assert_eq!(files.count(), texts.len(), "a file nobody compares");
}
