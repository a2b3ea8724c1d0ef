//! Statements with fixed text: values travel only as arguments, errors only as [`StoreError`].

use sea_orm::sea_query::Value;
use sea_orm::{ConnectionTrait, EntityTrait, QueryResult, TryGetable};

use crate::error::{StoreError, from_db};

/// A statement and its arguments, `$1` first, on both databases.
pub(crate) struct Statement {
    text: &'static str,
    arguments: Vec<Value>,
}

/// A statement without arguments yet.
pub(crate) const fn sql(text: &'static str) -> Statement {
    Statement { text, arguments: Vec::new() }
}

impl Statement {
    /// Adds the next argument.
    pub(crate) fn with(mut self, argument: impl Into<Value>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// Adds bytes as the next argument.
    pub(crate) fn with_bytes(self, bytes: &[u8]) -> Self {
        self.with(bytes.to_vec())
    }

    fn on<C: ConnectionTrait>(self, connection: &C) -> sea_orm::Statement {
        let backend = connection.get_database_backend();
        sea_orm::Statement::from_sql_and_values(backend, self.text, self.arguments)
    }

    /// Runs it and tells how many rows it touched.
    pub(crate) async fn execute<C: ConnectionTrait>(self, connection: &C) -> Result<u64, StoreError> {
        let statement = self.on(connection);
        Ok(connection.execute_raw(statement).await.map_err(from_db)?.rows_affected())
    }

    /// Runs it and reads every row.
    pub(crate) async fn rows<C: ConnectionTrait>(self, connection: &C) -> Result<Vec<Row>, StoreError> {
        let statement = self.on(connection);
        let rows = connection.query_all_raw(statement).await.map_err(from_db)?;
        Ok(rows.into_iter().map(Row).collect())
    }

    /// Runs it and reads every row as one of a table.
    pub(crate) async fn models<E: EntityTrait, C: ConnectionTrait>(
        self,
        connection: &C,
    ) -> Result<Vec<E::Model>, StoreError> {
        let statement = self.on(connection);
        E::find().from_raw_sql(statement).all(connection).await.map_err(from_db)
    }

    /// Runs it and reads the first row, if there is one.
    pub(crate) async fn row<C: ConnectionTrait>(self, connection: &C) -> Result<Option<Row>, StoreError> {
        let statement = self.on(connection);
        Ok(connection.query_one_raw(statement).await.map_err(from_db)?.map(Row))
    }

    /// Runs it and reads the one row it always has.
    pub(crate) async fn only_row<C: ConnectionTrait>(self, connection: &C) -> Result<Row, StoreError> {
        self.row(connection).await?.ok_or(StoreError::defect("a row that is always there is not"))
    }
}

/// A row of a result, read by position.
pub(crate) struct Row(QueryResult);

impl Row {
    /// The value at a position.
    pub(crate) fn get<T: TryGetable>(&self, at: usize) -> Result<T, StoreError> {
        Ok(T::try_get_by(&self.0, at)?)
    }

    /// Bytes of exactly this length at a position.
    pub(crate) fn bytes<const N: usize>(&self, at: usize) -> Result<[u8; N], StoreError> {
        exactly(self.get::<Vec<u8>>(at)?)
    }

    /// A number that is never negative.
    pub(crate) fn unsigned(&self, at: usize) -> Result<u64, StoreError> {
        unsigned(self.get(at)?)
    }
}

/// Bytes of exactly one length, as stored.
pub(crate) fn exactly<const N: usize>(bytes: Vec<u8>) -> Result<[u8; N], StoreError> {
    bytes.try_into().map_err(|_| StoreError::Tampered)
}

/// A stored number that is never negative.
pub(crate) fn unsigned(number: i64) -> Result<u64, StoreError> {
    number.try_into().map_err(|_| StoreError::Tampered)
}

/// A number of ours as the databases count, in 63 bits.
pub(crate) fn signed(number: u64) -> Result<i64, StoreError> {
    number.try_into().map_err(|_| StoreError::defect("a number has more than 63 bits"))
}

/// A stored name of a closed grammar.
pub(crate) fn name<T: std::str::FromStr>(text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Tampered)
}

/// A stored list of names, which hold no space.
pub(crate) fn names<T: std::str::FromStr>(text: &str) -> Result<Vec<T>, StoreError> {
    text.split_ascii_whitespace().map(name).collect()
}

/// A list of names as it is stored.
pub(crate) fn join_names<T: std::fmt::Display>(names: &[T]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}
