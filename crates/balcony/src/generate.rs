//! `balcony dev generate`: files that the server writes about itself.

use std::fs;
use std::path::{Component, Path};

/// Writes each file below `out`, and says so.
pub(crate) fn write(out: &Path, files: &[(&'static str, String)]) -> Result<(), String> {
    for (path, text) in files {
        let inside = Path::new(path)
            .components()
            .all(|part| matches!(part, Component::Normal(_)));
        if !inside {
            return Err(format!(
                "{path} would not be written below {}",
                out.display()
            ));
        }
        let target = out.join(path);
        let told = |error: std::io::Error| format!("{}: {error}", target.display());
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(told)?;
        }
        fs::write(&target, text).map_err(told)?;
        println!("{}", target.display());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_written_below_the_folder_and_nowhere_else() {
        let out = std::env::temp_dir().join(format!("balcony-generate-{}", std::process::id()));
        write(&out, &[("docs/config.md", "text".to_owned())]).unwrap();
        assert_eq!(
            fs::read_to_string(out.join("docs/config.md")).unwrap(),
            "text"
        );
        for path in ["../escaped", "/tmp/escaped", "docs/../../escaped"] {
            assert!(write(&out, &[(path, String::new())]).is_err(), "{path}");
        }
        fs::remove_dir_all(&out).unwrap();
    }
}
