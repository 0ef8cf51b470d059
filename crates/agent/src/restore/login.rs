//! Verifies that the superuser can log in to the restored server with the password that the platform has.

use anyhow::{Context as _, Result};
use model::{Failure, FailureCode, Level};

use super::context::RestoreContext;
use super::roles;
use crate::scratch_server::{Purpose, ScratchServer};

/// Stops the server and verifies the superuser's login. If the image has another password, or none, the job's password is set.
pub(super) async fn verify(context: &RestoreContext<'_>, server: &mut ScratchServer) -> Result<()> {
    server.stop().await?;
    let Some(password) = context.job.password() else { return Ok(()) };
    let superuser = &context.task.superuser;
    if can_log_in(server, superuser, password).await? {
        return Ok(());
    }
    context.job.log(
        Level::Warn,
        format!("the password of {superuser:?} in the image differs from the job's, which is set instead"),
    );
    server.start(Purpose::Load).await?;
    let client = server.connect("template1").await?;
    roles::set_password(&client, superuser, password).await?;
    drop(client);
    server.stop().await?;
    if can_log_in(server, superuser, password).await? {
        return Ok(());
    }
    let detail = "the restored server rejects the password that was set";
    Err(Failure::new(FailureCode::PasswordRejected, detail).on(superuser).into())
}

async fn can_log_in(server: &mut ScratchServer, user: &str, password: &str) -> Result<bool> {
    server.start(Purpose::VerifyLogin).await?;
    let attempt = server.log_in(user, password, "template1").await;
    server.stop().await?;
    match attempt {
        Ok(_) => Ok(true),
        Err(error) if error.downcast_ref().is_some_and(roles::is_wrong_password) => Ok(false),
        Err(error) => Err(error).context("cannot log in to the restored server"),
    }
}
