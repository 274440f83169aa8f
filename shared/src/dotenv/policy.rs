//! Which variables a file may set.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::trust::Trust;
use crate::fs::read_jsonc;
use crate::wordlist::words;

/// The variable in which `qwen-env` remembers what it exported. No file may set it.
pub const RECORD: &str = "QWEN_ENV_EXPORTED";

/// The names that a project's plain `.env` does not set, unless Qwen Code's settings say otherwise.
const EXCLUDED: [&str; 2] = ["DEBUG", "DEBUG_MODE"];

/// Returns the category of a variable that an untrusted project file may not set; `None` when it may.
#[must_use]
pub fn category(name: &str) -> Option<Category> {
    let name = name.to_ascii_uppercase().replace('-', "_");
    RESTRICTIONS
        .iter()
        .find(|restriction| {
            restriction.names.contains(&name.as_str())
                || restriction.prefixes.iter().any(|prefix| name.starts_with(prefix))
                || restriction.suffixes.iter().any(|suffix| name.ends_with(suffix))
        })
        .map(|restriction| restriction.category)
}

/// Returns the excluded names: the union of the lists in these files, or the built-in pair when none has a list.
///
/// `advanced.excludedEnvVars` replaces the pair; the older `excludedProjectEnvVars` at the top is read where the
/// newer is missing. A file that is not there, or is not JSON, has no list: it is
/// Qwen Code's file, and Qwen Code reports the fault.
pub(super) fn excluded_names(files: &[PathBuf]) -> BTreeSet<String> {
    let lists: Vec<Vec<String>> = files.iter().filter_map(|file| excluded_list(file)).collect();
    if lists.is_empty() {
        return EXCLUDED.iter().map(|&name| name.to_owned()).collect();
    }
    lists.into_iter().flatten().collect()
}

fn excluded_list(file: &Path) -> Option<Vec<String>> {
    let settings = read_jsonc(file)?;
    let list = settings
        .get("advanced")
        .and_then(|advanced| advanced.get("excludedEnvVars"))
        .or_else(|| settings.get("excludedProjectEnvVars"))?;
    let names = list.as_array()?.iter().filter_map(Value::as_str);
    Some(names.map(str::to_owned).collect())
}

/// The suffixes of names of addresses, and what the key's name keeps of each. A suffix comes before those it ends in.
const ADDRESSES: [(&str, &str); 4] = [
    ("_API_BASE_URL", ""),
    ("_BASE_URL", ""),
    ("_API_BASE", ""),
    ("OPENAI_ENDPOINT", "OPENAI"),
];

/// Returns the name of the key that goes with an address: `X_API_KEY` for `X_BASE_URL`, `X_API_BASE` and
/// `X_API_BASE_URL`, `AZURE_OPENAI_API_KEY` for Azure's `AZURE_OPENAI_ENDPOINT`; `None` for any other name.
#[must_use]
pub fn key_name(url_name: &str) -> Option<String> {
    let (vendor, kept) = ADDRESSES
        .iter()
        .find_map(|(suffix, kept)| Some((url_name.strip_suffix(suffix)?, kept)))?;
    let owner = format!("{vendor}{kept}");
    (!owner.is_empty()).then(|| owner + "_API_KEY")
}

/// Returns whether a key may be sent to an address that a file of the chain gave.
///
/// An untrusted project file came with a clone: it may say where *its own* key goes, not where the user's goes. So an
/// address of such a file counts only with a key of the same file. `key_file` is `None` when the key is from anywhere
/// else (the environment, a profile, the keyring), is blank, or is not known yet.
#[must_use]
pub fn may_pair(url_trust: Trust, url_file: &Path, key_file: Option<&Path>) -> bool {
    url_trust != Trust::UntrustedProject || key_file == Some(url_file)
}

/// The category of a variable that an untrusted project file may not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Category {
    /// The dynamic linker and the C library.
    Loader,
    /// Code that an interpreter, compiler or package manager loads or runs.
    Interpreter,
    /// Code that a shell runs, and how it parses.
    Shell,
    /// Which certificates are accepted.
    Tls,
    /// Proxies, and remote hosts that commands are sent to.
    Proxy,
    /// Programs that git, ssh and other version control run.
    Git,
    /// Which editor, pager or browser is run.
    Editor,
    /// Where programs, settings and temporary files are looked for.
    Path,
    /// The settings of this toolkit and of Qwen Code.
    Qwen,
}

impl Category {
    /// Returns its name in notices and pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loader => "loader",
            Self::Interpreter => "interpreter",
            Self::Shell => "shell-control",
            Self::Tls => "TLS",
            Self::Proxy => "proxy",
            Self::Git => "git",
            Self::Editor => "editor",
            Self::Path => "path",
            Self::Qwen => "qwen-control",
        }
    }
}

/// The names of a category, in upper case.
struct Restriction {
    category: Category,
    names: &'static [&'static str],
    prefixes: &'static [&'static str],
    suffixes: &'static [&'static str],
}

static RESTRICTIONS: [Restriction; 9] = [
    Restriction {
        category: Category::Loader,
        names: words!(
            "GCONV_PATH GETCONF_DIR GLIBC_TUNABLES HOSTALIASES LIBPATH LOCALDOMAIN LOCPATH NIS_PATH NLSPATH \
                RESOLV_HOST_CONF RES_OPTIONS SHLIB_PATH TZDIR"
        ),
        prefixes: words!("LD_ DYLD_ _RLD MALLOC_"),
        suffixes: words!("SAN_OPTIONS"),
    },
    Restriction {
        category: Category::Interpreter,
        names: words!(
            "NODE_OPTIONS NODE_PATH NODE_REPL_EXTERNAL_MODULE NODE_REPL_HISTORY NODE_V8_COVERAGE \
                NODE_PENDING_DEPRECATION NODE_ICU_DATA NODE_COMPILE_CACHE NODE_REDIRECT_WARNINGS NODE_GYP_FORCE_PYTHON \
                ELECTRON_RUN_AS_NODE NVM_DIR IPYTHONDIR CONFIG_SITE CONFIG_SHELL DENO_DIR BUN_INSTALL BUN_OPTIONS CLASSPATH JAVA_HOME JAVA_OPTS JAVA_TOOL_OPTIONS \
                JDK_JAVA_OPTIONS _JAVA_OPTIONS MAVEN_OPTS MAVEN_ARGS GRADLE_OPTS GRADLE_USER_HOME ANT_OPTS SBT_OPTS \
                PHPRC PHP_INI_SCAN_DIR R_HOME R_PROFILE R_PROFILE_USER R_ENVIRON R_ENVIRON_USER DOTNET_STARTUP_HOOKS \
                DOTNET_ROOT DOTNET_ADDITIONAL_DEPS DOTNET_SHARED_STORE TCLLIBPATH GUILE_LOAD_PATH \
                GUILE_LOAD_COMPILED_PATH ERL_FLAGS ERL_AFLAGS ERL_ZFLAGS ERL_LIBS ELIXIR_ERL_OPTIONS ERL_INETRC \
                GOFLAGS GOROOT GOPATH GOBIN GOENV GOPROXY GOSUMDB GONOSUMDB GONOSUMCHECK GONOPROXY GOPRIVATE GOINSECURE \
                GOTOOLCHAIN GOTOOLDIR GOCACHE GOCACHEPROG GOEXPERIMENT GOMODCACHE GOWORK GOVCS GOAUTH \
                CC CXX CPP LD AR AS NM RANLIB STRIP OBJCOPY CFLAGS CXXFLAGS CPPFLAGS LDFLAGS CMAKE_TOOLCHAIN_FILE \
                MAKE MAKEFLAGS MAKEFILES MFLAGS GNUMAKEFLAGS MAKEOVERRIDES MAKESHELL AWKPATH AWKLIBPATH OCAMLRUNPARAM \
                GHCRTS GHC_PACKAGE_PATH TF_CLI_CONFIG_FILE TF_CLI_ARGS KUBECONFIG AWS_CONFIG_FILE \
                AWS_SHARED_CREDENTIALS_FILE R_LIBS R_LIBS_USER OCAMLLIB CAML_LD_LIBRARY_PATH TCL_LIBRARY TK_LIBRARY \
                TAR_OPTIONS ZIPOPT GREP_OPTIONS RIPGREP_CONFIG_PATH ACKRC PSQLRC"
        ),
        prefixes: words!(
            "PYTHON PERL RUBY GEM_ BUNDLE_ LUA_ JULIA_ CORECLR_ COR_ NPM_CONFIG_ YARN_ PNPM_ COREPACK_ PIP_ \
                     PIPX_ UV_ CONDA_ VIRTUALENV_ JUPYTER_ PYENV_ RBENV_ NODENV_ ASDF_ MISE_ VOLTA_ CARGO_ RUSTC RUSTFLAGS RUSTDOC RUSTUP_ ANSIBLE_"
        ),
        suffixes: words!(""),
    },
    Restriction {
        category: Category::Shell,
        names: words!(
            "ENV ZDOTDIR IFS CDPATH GLOBIGNORE EXECIGNORE FIGNORE SHELL SHELLOPTS INPUTRC TMOUT FPATH MODULE_PATH \
                MAIL MAILPATH MAILCHECK PROMPT PROMPT_COMMAND PROMPT_DIRTRIM PROMPT2 PROMPT3 PROMPT4 RPROMPT RPROMPT2 \
                RPS1 RPS2 SPROMPT PS0 PS1 PS2 PS3 PS4 POSIXLY_CORRECT NULLCMD READNULLCMD FCEDIT FCOMP STTY TERM \
                TERMCAP TERMINFO TERMINFO_DIRS KSH_VERSION PSMODULEPATH COMSPEC PATHEXT ENV_CONVERSIONS OPTIND \
                OPTERR HISTFILE HISTSIZE HISTFILESIZE HISTCONTROL HISTIGNORE HISTTIMEFORMAT HISTCMD HISTCHARS SIGNALS WORDCHARS \
                KEYTIMEOUT SUDO_PROMPT SUDO_COMMAND SUDO_USER DOAS_USER SCREENRC"
        ),
        prefixes: words!(
            "BASH READLINE_ ZSH ZLE_ ZLS_ FISH_ XONSH XONTRIB NU_ ELVISH_ POWERSHELL_ DIRENV_ \
                     STARSHIP_"
        ),
        suffixes: words!("_FUNCTIONS"),
    },
    Restriction {
        category: Category::Tls,
        names: words!(
            "SSLKEYLOGFILE NODE_EXTRA_CA_CERTS NODE_TLS_REJECT_UNAUTHORIZED CURL_HOME CURL_SSL_BACKEND WGETRC \
                NETRC DENO_CERT DENO_TLS_CA_STORE HTTPLIB2_CA_CERTS GRPC_DEFAULT_SSL_ROOTS_FILE_PATH PYTHONHTTPSVERIFY KRB5_CONFIG KRB5CCNAME \
                QWEN_TLS_INSECURE"
        ),
        prefixes: words!("SSL_ OPENSSL_ GNUTLS_ NSS_ P11_ PKCS11_"),
        suffixes: words!("_CA_BUNDLE _CAINFO _TLS_INSECURE"),
    },
    Restriction {
        category: Category::Proxy,
        names: words!("PROXY WPAD_URL DOCKER_HOST DOCKER_CONTEXT DOCKER_CONFIG CONTAINER_HOST"),
        prefixes: words!("SOCKS_"),
        suffixes: words!("_PROXY"),
    },
    Restriction {
        category: Category::Git,
        names: words!(
            "RSYNC_RSH CVS_RSH CVSROOT HGRCPATH HGPLAIN HGMERGE HGUSER GH_CONFIG_DIR GH_PATH GH_HOST GLAB_CONFIG_DIR \
                GNUPGHOME"
        ),
        prefixes: words!("GIT_ SSH_ SVN_ GPG_ PASSWORD_STORE_ JJ_"),
        suffixes: words!("_ASKPASS"),
    },
    Restriction {
        category: Category::Editor,
        names: words!(
            "EDITOR VISUAL PAGER BROWSER OPENER TERMINAL VIMINIT GVIMINIT EXINIT VIM VIMRUNTIME MYVIMRC \
                EMACSLOADPATH EMACSDATA EMACSPATH ALTERNATE_EDITOR EMACS_SERVER_FILE SELECTED_EDITOR HGEDITOR CVSEDITOR \
                LESS LESSOPEN LESSCLOSE LESSEDIT LESSSECURE MORE MANOPT MANROFFOPT MANROFFSEQ MANPAGER"
        ),
        prefixes: words!("NVIM_ LESSKEY LESSHIST FZF_"),
        suffixes: words!("_EDITOR _PAGER _BROWSER"),
    },
    Restriction {
        category: Category::Path,
        names: words!(
            "PATH HOME PWD OLDPWD LOGNAME MANPATH INFOPATH TMPDIR TMP TEMP TEMPDIR PKG_CONFIG PKG_CONFIG_PATH \
                PKG_CONFIG_LIBDIR PKG_CONFIG_SYSROOT_DIR CMAKE_PREFIX_PATH CMAKE_MODULE_PATH CPATH C_INCLUDE_PATH \
                CPLUS_INCLUDE_PATH OBJC_INCLUDE_PATH LIBRARY_PATH COMPILER_PATH GCC_EXEC_PREFIX VIRTUAL_ENV \
                HOMEDRIVE HOMEPATH USERPROFILE APPDATA LOCALAPPDATA PROGRAMDATA SYSTEMROOT WINDIR DISPLAY \
                WAYLAND_DISPLAY XAUTHORITY LIBGL_DRIVERS_PATH FONTCONFIG_FILE FONTCONFIG_PATH ALSA_CONFIG_PATH \
                GDK_PIXBUF_MODULE_FILE VK_LAYER_PATH VK_ADD_LAYER_PATH VK_ICD_FILENAMES VK_DRIVER_FILES \
                LIBVA_DRIVERS_PATH VDPAU_DRIVER_PATH OCL_ICD_VENDORS"
        ),
        prefixes: words!("XDG_ DBUS_ GTK_ QT_ GIO_ GST_ HOMEBREW_ NIX_ GUIX_ SYSTEMD_"),
        suffixes: words!(""),
    },
    Restriction {
        category: Category::Qwen,
        names: words!(
            "QWEN_HOME QWEN_CONFIG QWEN_CREDENTIAL_STORE QWEN_ENV_CHAIN QWEN_RUNTIME_DIR QWEN_SERVER_TOKEN SANDBOX \
                SANDBOX_ENFORCEMENT SEATBELT_PROFILE"
        ),
        prefixes: words!(
            "QWEN_SANDBOX QWEN_CODE_ QWEN_CLI_ QWEN_CDP_ QWEN_SERVE_ QWEN_AGENT_ QWEN_REVIEW_ QWEN_UPDATE_ QWEN_TELEMETRY_"
        ),
        suffixes: words!(""),
    },
];
