//! An authority, and the certificates that it signed, made by the `openssl` of the machine.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The files of an authority `ca`, and of `broker` and `client`: a `.pem` and a `.key` each. `broker.store` holds both, as
/// Kafka reads them. `stranger` is signed by nobody.
pub struct Certificates {
    directory: PathBuf,
}

impl Certificates {
    pub fn make(directory: &Path) -> Self {
        let this = Self { directory: directory.to_owned() };
        let new_key = "req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        this.openssl(&format!("{new_key} -x509 -days 2 -keyout ca.key -out ca.pem -subj /CN=authority"));
        this.openssl(&format!("{new_key} -x509 -days 2 -keyout stranger.key -out stranger.pem -subj /CN=stranger"));
        std::fs::write(directory.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n").unwrap();
        for name in ["broker", "client"] {
            this.openssl(&format!("{new_key} -keyout {name}.key -out {name}.request -subj /CN={name}"));
            this.openssl(&format!(
                "x509 -req -days 2 -in {name}.request -CA ca.pem -CAkey ca.key -CAcreateserial -extfile names -out {name}.pem"
            ));
        }
        std::fs::write(directory.join("broker.store"), this.read("broker.key") + &this.read("broker.pem")).unwrap();
        this
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn openssl(&self, arguments: &str) {
        let mut command = Command::new("openssl");
        let output = command.args(arguments.split(' ')).current_dir(&self.directory).output();
        let output = output.expect("the tests need openssl");
        assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
