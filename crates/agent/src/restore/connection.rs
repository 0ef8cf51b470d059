//! Connections to the scratch server that restore content.

use anyhow::Result;
use tokio_postgres::Client;

use crate::scratch_server::ScratchServer;
use crate::session::{self, Access};

/// Connects to a database, with settings that override those of the image's roles and databases.
pub(super) async fn connect(server: &ScratchServer, database: &str) -> Result<Client> {
    let client = server.connect(database).await?;
    session::secure(&client, Access::Write).await?;
    Ok(client)
}
