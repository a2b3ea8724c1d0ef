//! Examining a database from outside its own words: copying it, and searching all of it for a text.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::str::FromStr as _;

use sea_orm::{ConnectionTrait as _, Statement as RawStatement};
use sqlx::sqlite::SqliteConnectOptions;

use crate::error::{StoreError, from_db};
use crate::statement::sql;
use crate::{Backend, Store};

/// How many bytes of a file are searched at a time.
const CHUNK: usize = 1 << 20;

impl Store {
    /// Writes a copy of the whole database into a new file, as it is at one moment.
    ///
    /// # Errors
    /// Those of the database; always on PostgreSQL, whose own tools do it.
    pub async fn copy_to(&self, file: &Path) -> Result<(), StoreError> {
        if self.backend() == Backend::Postgres {
            return Err(StoreError::defect("PostgreSQL is copied by its own tools"));
        }
        let file = file.to_str().ok_or(StoreError::defect("the path of the copy is no text"))?;
        sql("VACUUM INTO $1").with(file).execute(self.db()).await?;
        Ok(())
    }

    /// The places that hold one of some byte strings: columns by their names, and on SQLite the files, with what was freed in
    /// them. It reads everything.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn holding(&self, url: &str, needles: &[Vec<u8>]) -> Result<Vec<String>, StoreError> {
        let mut places = Vec::new();
        for (table, column) in self.columns().await? {
            for needle in needles {
                if self.column_holds((&table, &column), needle).await? {
                    places.push(format!("{table}.{column}"));
                    break;
                }
            }
        }
        if self.backend() == Backend::Sqlite {
            let needles = needles.to_vec();
            let files = files_of(url)?;
            let found = tokio::task::spawn_blocking(move || {
                files.into_iter().filter(|file| file_holds(file, &needles)).collect::<Vec<_>>()
            });
            let found = found.await.map_err(|_| StoreError::defect("the search of a file was stopped"))?;
            places.extend(found.iter().filter_map(|file| Some(file.file_name()?.to_string_lossy().into_owned())));
        }
        Ok(places)
    }

    /// Every column of every table.
    async fn columns(&self) -> Result<Vec<(String, String)>, StoreError> {
        let columns = match self.backend() {
            Backend::Sqlite => sql(
                "SELECT tables.name, columns.name FROM sqlite_master AS tables, pragma_table_info(tables.name) AS columns \
                 WHERE tables.type = 'table' ORDER BY 1, 2",
            ),
            Backend::Postgres => {
                sql("SELECT table_name::text, column_name::text FROM information_schema.columns \
                 WHERE table_schema = current_schema() ORDER BY 1, 2")
            }
        };
        let rows = columns.rows(self.db()).await?;
        rows.iter().map(|row| Ok((row.get(0)?, row.get(1)?))).collect()
    }

    async fn column_holds(&self, (table, column): (&str, &str), needle: &[u8]) -> Result<bool, StoreError> {
        // The names come from the database's own catalogue.
        let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        let (table, column) = (quoted(table), quoted(column));
        let text = match self.backend() {
            Backend::Sqlite => {
                format!("SELECT 1 FROM {table} WHERE instr(CAST({column} AS BLOB), $1) > 0 LIMIT 1")
            }
            Backend::Postgres => format!(
                "SELECT 1 FROM {table} WHERE position($1::bytea IN CASE pg_typeof({column})::text WHEN 'bytea' \
                     THEN decode(substr({column}::text, 3), 'hex') ELSE convert_to({column}::text, 'UTF8') END) > 0 LIMIT 1"
            ),
        };
        let backend = self.db().get_database_backend();
        let statement = RawStatement::from_sql_and_values(backend, text, [needle.to_vec().into()]);
        Ok(self.db().query_one_raw(statement).await.map_err(from_db)?.is_some())
    }
}

/// The files of a SQLite database.
fn files_of(url: &str) -> Result<Vec<PathBuf>, StoreError> {
    let options = SqliteConnectOptions::from_str(url)
        .map_err(|_| StoreError::defect("the address of the database is none"))?;
    let main = options.get_filename().to_path_buf();
    let beside = |suffix: &str| {
        let mut name = main.clone().into_os_string();
        name.push(suffix);
        PathBuf::from(name)
    };
    let files = [main.clone(), beside("-wal"), beside("-journal")];
    Ok(files.into_iter().filter(|file| file.exists()).collect())
}

/// Whether a file holds one of some byte strings. One that cannot be read is taken to.
fn file_holds(file: &Path, needles: &[Vec<u8>]) -> bool {
    let longest = needles.iter().map(Vec::len).max().unwrap_or_default();
    let Ok(mut reader) = std::fs::File::open(file) else { return true };
    let mut window: Vec<u8> = Vec::with_capacity(CHUNK + longest);
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match reader.read(&mut chunk) {
            Ok(0) => return false,
            Ok(read) => read,
            Err(_) => return true,
        };
        window.extend_from_slice(chunk.get(..read).unwrap_or_default());
        if needles.iter().any(|needle| holds(&window, needle)) {
            return true;
        }
        // What lies across two chunks is found in the next one.
        let keep = window.len().min(longest.saturating_sub(1));
        window.drain(..window.len() - keep);
    }
}

fn holds(window: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && window.windows(needle.len()).any(|part| part == needle)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn sec_08_a_text_is_found_wherever_it_lies_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bytes");
        let needle = b"the canary".to_vec();
        for at in [0, 1, CHUNK - 5, CHUNK, 2 * CHUNK - 9] {
            let mut bytes = vec![0; 2 * CHUNK + 100];
            bytes.splice(at..at + needle.len(), needle.clone());
            std::fs::write(&file, &bytes).unwrap();
            assert!(file_holds(&file, &[b"another".to_vec(), needle.clone()]), "{at}");
            assert!(!file_holds(&file, &[b"the canaries".to_vec()]), "{at}");
        }
        assert!(file_holds(&folder.path().join("absent"), &[needle]), "what cannot be read is not sound");
    }
}
