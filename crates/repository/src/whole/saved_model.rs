//! Is a SavedModel whole? Its main file, its variables with their index, its assets.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use salver_backend::ModelFiles;
use salver_savedmodel::{SavedModel, SavedModelError};

use super::{Flaw, grouped};

/// The file that lists the variables, and the folder that it is in with their values.
const INDEX: &str = "variables.index";
const VARIABLES: &str = "variables";

/// What an index ends with, and how long its last part is at least, in bytes.
const INDEX_MARK: [u8; 8] = 0xdb47_7524_8b80_fb57_u64.to_le_bytes();
const INDEX_FOOTER_BYTES: u64 = 48;

/// How much of an index is looked at for its header, in bytes; the header takes ten.
const HEADER_BYTES: u64 = 64;

/// Returns what is missing or wrong.
pub(super) fn flaw(files: &ModelFiles) -> io::Result<Option<Flaw>> {
    if fs::metadata(&files.main)?.len() == 0 {
        let message = format!("{} is empty", files.file_name());
        return Ok(Some(Flaw::Incomplete(message)));
    }
    let mut has_variables = false;
    // What is written as text does not say how long it is.
    if files
        .main
        .extension()
        .is_some_and(|extension| extension == "pb")
    {
        match salver_savedmodel::read(&files.main) {
            Err(error) => return Ok(Some(flaw_of(error))),
            Ok(model) => {
                if let Some(flaw) = missing_asset(&files.dir, &model) {
                    return Ok(Some(flaw));
                }
                let mut graphs = model.meta_graphs.iter();
                has_variables = graphs.any(|graph| graph.has_variables);
            }
        }
    }
    missing_variables(&files.dir.join(VARIABLES), has_variables)
}

fn flaw_of(error: SavedModelError) -> Flaw {
    match error {
        SavedModelError::Incomplete {
            file,
            expected_bytes,
            actual_bytes,
        } => Flaw::Incomplete(format!(
            "{file} is incomplete: {} of {} bytes are here",
            grouped(actual_bytes),
            grouped(expected_bytes)
        )),
        error @ SavedModelError::Malformed { .. } => Flaw::Malformed(error.to_string()),
        error @ SavedModelError::Unreadable { .. } => Flaw::Unreadable(error.to_string()),
    }
}

fn missing_asset(dir: &Path, model: &SavedModel) -> Option<Flaw> {
    let assets = model.meta_graphs.iter().flat_map(|graph| &graph.assets);
    let is_missing = |asset: &&String| !dir.join("assets").join(asset.as_str()).exists();
    let missing = assets.into_iter().find(is_missing)?;
    Some(Flaw::Incomplete(format!("assets/{missing} is missing")))
}

/// A model needs every shard that its variables are split into, and the index of them.
///
/// `has_variables` is what its main file says, for the main file is often copied before them.
fn missing_variables(dir: &Path, has_variables: bool) -> io::Result<Option<Flaw>> {
    let names: Vec<String> = match fs::read_dir(dir) {
        Ok(entries) => entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<io::Result<_>>()?,
        // A model without variables has no such folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(error),
    };
    let mut num_shards = shards_by_name(&names);
    if names.iter().any(|name| name == INDEX) {
        let Some(declared) = declared_shards(&dir.join(INDEX))? else {
            let message = format!("{VARIABLES}/{INDEX} is incomplete");
            return Ok(Some(Flaw::Incomplete(message)));
        };
        num_shards = declared.or(num_shards).or(Some(1));
    } else if num_shards.is_some() || has_variables {
        let message = format!("{VARIABLES}/{INDEX} is missing");
        return Ok(Some(Flaw::Incomplete(message)));
    }
    let num_shards = num_shards.unwrap_or(0);
    let missing = (0..num_shards)
        .map(|shard_idx| format!("variables.data-{shard_idx:05}-of-{num_shards:05}"))
        .find(|shard| !names.contains(shard));
    Ok(missing.map(|name| Flaw::Incomplete(format!("{VARIABLES}/{name} is missing"))))
}

/// Returns how many shards there are to be by the names of those that are there.
fn shards_by_name(names: &[String]) -> Option<u32> {
    let of = |name: &String| {
        let (shard, of) = name.strip_prefix("variables.data-")?.split_once("-of-")?;
        shard.parse::<u32>().ok()?;
        of.parse().ok()
    };
    names.iter().filter_map(of).max()
}

/// Returns how many shards an index says there are, if its header can be read; `None` if the index is not whole.
fn declared_shards(index: &Path) -> io::Result<Option<Option<u32>>> {
    let mut file = File::open(index)?;
    let num_bytes = file.metadata()?.len();
    if num_bytes < INDEX_FOOTER_BYTES {
        return Ok(None);
    }
    let mut head = Vec::new();
    Read::by_ref(&mut file)
        .take(HEADER_BYTES)
        .read_to_end(&mut head)?;
    let mut mark = [0; INDEX_MARK.len()];
    file.seek(SeekFrom::Start(num_bytes - mark.len() as u64))?;
    file.read_exact(&mut mark)?;
    Ok((mark == INDEX_MARK).then(|| header_shards(&head)))
}

/// Reads the number of shards out of the beginning of an index.
///
/// An index is a sorted table whose first key is empty: it begins with two zeros (nothing shared with the key before,
/// nothing of its own), the length of the value, and the value, a `BundleHeaderProto`. Where blocks are compressed, the
/// length of the block and the mark of a run of plain bytes come first.
fn header_shards(head: &[u8]) -> Option<u32> {
    let entry = match head {
        [0, 0, ..] => head,
        _ => {
            let len_bytes = head.iter().position(|byte| byte & 0x80 == 0)? + 1;
            head.get(len_bytes + 1..)?
        }
    };
    match entry {
        // The first field is the number of shards, which is left out only if it is 0.
        [0, 0, _len, 0x08, num_shards, ..] if (1..0x80).contains(num_shards) => {
            Some(u32::from(*num_shards))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use salver_tensor::DType;
    use salver_testkit::saved_model::Graph;
    use salver_testkit::saved_models;

    use super::*;
    use crate::testing::Tree;

    /// Returns the flaw of version 1.
    fn flaw_in(tree: &Tree, main: &str) -> Option<Flaw> {
        let files = ModelFiles {
            format: salver_backend::ModelFormat::SavedModel,
            dir: tree.path("1"),
            main: tree.path("1").join(main),
        };
        flaw(&files).expect("the files can be read")
    }

    fn incomplete(message: &str) -> Option<Flaw> {
        Some(Flaw::Incomplete(message.to_owned()))
    }

    /// An index of so many shards, plain or in a compressed block.
    fn index(num_shards: u8, is_compressed: bool) -> Vec<u8> {
        let mut bytes = match is_compressed {
            true => vec![0x80, 0x01, 0x6c],
            false => Vec::new(),
        };
        bytes.extend([0, 0, 6, 0x08, num_shards, 0x1a, 2, 8, 1]);
        bytes.resize(60, 0);
        bytes.extend(INDEX_MARK);
        bytes
    }

    #[test]
    fn variables_need_their_index_and_every_shard() {
        let whole = [index(1, false), index(1, true)];
        /// An index, shards, and what is missing.
        type Row<'a> = (Option<Vec<u8>>, &'a [&'a str], Option<&'a str>);
        let rows: [Row<'_>; 9] = [
            (None, &[], None),
            (Some(whole[0].clone()), &["00000-of-00001"], None),
            (Some(whole[1].clone()), &["00000-of-00001"], None),
            (
                Some(whole[0].clone()),
                &[],
                Some("variables.data-00000-of-00001 is missing"),
            ),
            (
                None,
                &["00000-of-00001"],
                Some("variables.index is missing"),
            ),
            (
                Some(whole[0][..40].to_vec()),
                &["00000-of-00001"],
                Some("variables.index is incomplete"),
            ),
            (
                Some(whole[0][..67].to_vec()),
                &["00000-of-00001"],
                Some("variables.index is incomplete"),
            ),
            (
                Some(index(3, false)),
                &["00000-of-00003", "00002-of-00003"],
                Some("variables.data-00001-of-00003 is missing"),
            ),
            (
                Some(index(2, true)),
                &["00000-of-00002"],
                Some("variables.data-00001-of-00002 is missing"),
            ),
        ];
        for (index, shards, expected) in rows {
            let tree = Tree::new();
            tree.write("1/saved_model.pb", &saved_models::half_plus_two());
            if let Some(index) = index {
                tree.write("1/variables/variables.index", &index);
            }
            for shard in shards {
                tree.write(&format!("1/variables/variables.data-{shard}"), b"");
            }
            let expected = expected.map(|message| format!("variables/{message}"));
            assert_eq!(
                flaw_in(&tree, "saved_model.pb").map(|flaw| flaw.message()),
                expected,
                "{shards:?}"
            );
        }
    }

    #[test]
    fn variables_that_the_main_file_speaks_of_are_waited_for() {
        // A meta graph with a saver that has an operation to restore by.
        let main = b"\x12\x05\x1a\x03\x1a\x01r";
        let tree = Tree::new();
        tree.write("1/saved_model.pb", main);
        let missing = |name: &str| incomplete(&format!("variables/{name} is missing"));
        assert_eq!(flaw_in(&tree, "saved_model.pb"), missing("variables.index"));
        tree.write("1/variables/variables.index", &index(1, false));
        assert_eq!(
            flaw_in(&tree, "saved_model.pb"),
            missing("variables.data-00000-of-00001")
        );
        tree.write("1/variables/variables.data-00000-of-00001", b"");
        assert_eq!(flaw_in(&tree, "saved_model.pb"), None);
    }

    #[test]
    fn the_main_file_is_read_to_its_end() {
        let whole = saved_models::half_plus_two();
        let tree = Tree::new();
        for (bytes, expected) in [
            (&[][..], incomplete("saved_model.pb is empty")),
            (&whole[..], None),
        ] {
            tree.write("1/saved_model.pb", bytes);
            assert_eq!(flaw_in(&tree, "saved_model.pb"), expected);
        }
        tree.write("1/saved_model.pb", &whole[..whole.len() - 1]);
        let flaw = flaw_in(&tree, "saved_model.pb").expect("a byte is missing");
        assert!(matches!(flaw, Flaw::Incomplete(_)), "{flaw:?}");
        tree.write("1/saved_model.pb", b"<html>404</html>");
        let flaw = flaw_in(&tree, "saved_model.pb").expect("it is none");
        assert!(matches!(flaw, Flaw::Malformed(_)), "{flaw:?}");
        tree.write("1/saved_model.pbtxt", b"saved_model_schema_version: 1");
        assert_eq!(flaw_in(&tree, "saved_model.pbtxt"), None);
    }

    #[test]
    fn assets_that_the_model_names_are_needed() {
        let graph = Graph::new()
            .input("x", DType::String, None)
            .asset("file:0", "words.txt")
            .output("y", "x:0", DType::String, None);
        let tree = Tree::new();
        tree.write("1/saved_model.pb", &graph.to_bytes());
        assert_eq!(
            flaw_in(&tree, "saved_model.pb"),
            incomplete("assets/words.txt is missing")
        );
        tree.write("1/assets/words.txt", b"");
        assert_eq!(flaw_in(&tree, "saved_model.pb"), None);
    }
}
