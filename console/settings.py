"""The one settings file: everything comes from the environment; docs/configuration.md lists it.

Importable with no environment at all (for checks and types); `manage.py` and `make up` fill in the
embedded default before Django reads this.
"""

from __future__ import annotations

from pathlib import Path

from django.utils.translation import gettext_lazy as _

from console.env import database, env, secret

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("FUSEBOX_DATA", str(BASE_DIR / "var"))).absolute()

# --- who we are -----------------------------------------------------------------------------
DEBUG = env.bool("FUSEBOX_DEBUG", False)
SECRET_KEY = secret("FUSEBOX_SECRET_KEY", "")
if not SECRET_KEY:
    SECRET_KEY = "insecure-for-checks-only-" + "0" * 40
SECRET_KEY_IS_SET = not SECRET_KEY.startswith("insecure-for-checks-only-")
FUSEBOX_PORT = env.int("FUSEBOX_PORT", 8000)
FUSEBOX_PUBLIC_URL = env.str("FUSEBOX_PUBLIC_URL", f"http://127.0.0.1:{FUSEBOX_PORT}").rstrip("/")
# The hash of the log's tree and its name: trees of different hashes never share a name.
LOG_HASH = {"standard": "sha256", "gm": "sm3"}[env.str("FUSEBOX_LOG_PROFILE", "standard")]
FUSEBOX_LOG_ORIGIN = env.str(
    "FUSEBOX_LOG_ORIGIN",
    "fusebox.local/audit/1" if LOG_HASH == "sha256" else "fusebox.local/audit-gm/1",
)
# Known where the sealer's own files are; elsewhere the sealer is another machine's.
SEALER_DATABASE_URL = secret("DATABASE_SEALER_URL", "")
SEALER_DIR = Path(env.str("FUSEBOX_SEALER_DIR", "") or DATA_DIR / "sealer")
LOG_CERTIFICATE = Path(
    env.str("FUSEBOX_LOG_CERTIFICATE", "") or SEALER_DIR / "fusebox-certificate.txt"
)

# --- copies of the log outside (manage.py audit_forward) --------------------------------------
SYSLOG_URL = env.str("FUSEBOX_SYSLOG_URL", "")
SYSLOG_CA, SYSLOG_CERT, SYSLOG_KEY, CHECKPOINT_DIR = (
    Path(value) if value else None
    for value in (
        env.str("FUSEBOX_SYSLOG_CA", ""),
        env.str("FUSEBOX_SYSLOG_CERT", ""),
        env.str("FUSEBOX_SYSLOG_KEY", ""),
        env.str("FUSEBOX_CHECKPOINT_DIR", ""),
    )
)
TSA_URL = env.str("FUSEBOX_TSA_URL", "")
TSA_CA = Path(value) if (value := env.str("FUSEBOX_TSA_CA", "")) else None
TSA_PERIOD_MINUTES = env.int("FUSEBOX_TSA_PERIOD_MINUTES", 60)
WITNESS_LATE_HOURS = env.int("FUSEBOX_WITNESS_LATE_HOURS", 24)

# --- alarms: where they may be sent -----------------------------------------------------------
SMTP_HOST = env.str("FUSEBOX_SMTP_HOST", "")
SMTP_PORT = env.int("FUSEBOX_SMTP_PORT", 587)
SMTP_SECURITY = {"none": "none", "starttls": "starttls", "tls": "tls"}[
    env.str("FUSEBOX_SMTP_SECURITY", "starttls")
]
SMTP_USER = env.str("FUSEBOX_SMTP_USER", "")
SMTP_PASSWORD = secret("FUSEBOX_SMTP_PASSWORD", "")
SMTP_FROM = env.str("FUSEBOX_SMTP_FROM", "Fusebox <fusebox@localhost>")
ALARM_CA = env.str("FUSEBOX_ALARM_CA", "")
ALARM_NETWORKS = env.list(
    "FUSEBOX_ALARM_NETWORKS",
    ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
)
BEHIND_TLS = env.bool("FUSEBOX_BEHIND_TLS", False)
ALLOWED_HOSTS = env.list("FUSEBOX_ALLOWED_HOSTS", ["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = [FUSEBOX_PUBLIC_URL]
RETENTION_PROFILE = env.str("FUSEBOX_RETENTION_PROFILE", "standard")
RETENTION_FLOOR_DAYS = env.int("FUSEBOX_RETENTION_FLOOR_DAYS", 0)
SECOND_PERSON = env.bool("FUSEBOX_SECOND_PERSON", True)
ENFORCE_FIRST_PASSWORD_CHANGE = env.bool("FUSEBOX_ENFORCE_FIRST_PASSWORD_CHANGE", True)

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "template_partials",
    "axes",
    "csp",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "audit.ledger",
    "access",
    "audit.office",
    "deployments",
    "gateway",
    "console",
]

MIDDLEWARE = [
    "console.middleware.audit_requests",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "console.middleware.identify",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "console.errors.ErrorPages",
    "axes.middleware.AxesMiddleware",
]

ROOT_URLCONF = "console.urls"
ASGI_APPLICATION = "console.asgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": ["console.templatetags.fusebox", "console.templatetags.fleet_text"],
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "console.context.navigation",
            ],
        },
    }
]

# --- the database: one, PostgreSQL; the web's own role, the owner's for migrations only -------
DATABASES = {"default": database(env.str("FUSEBOX_DB_AS", "web"))}

# --- sign-in ----------------------------------------------------------------------------------
AUTH_USER_MODEL = "access.User"
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "access.backends.PersonBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
AXES_FAILURE_LIMIT = env.int("FUSEBOX_LOGIN_FAILURE_LIMIT", 5)
AXES_COOLOFF_TIME = env.int("FUSEBOX_LOGIN_COOLOFF_MINUTES", 15) / 60
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_ENABLE_ACCESS_FAILURE_LOG = False
AXES_DISABLE_ACCESS_LOG = True
AXES_LOCKOUT_CALLABLE = "console.views.session.locked_out"
AXES_VERBOSE = False

SESSION_COOKIE_AGE = env.int("FUSEBOX_SESSION_IDLE_MINUTES", 30) * 60
SESSION_SAVE_EVERY_REQUEST = True
SESSION_COOKIE_NAME = "fusebox_session"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = BEHIND_TLS
CSRF_COOKIE_NAME = "fusebox_csrf"
CSRF_FAILURE_VIEW = "console.views.session.csrf_failure"

# --- the browser's walls ----------------------------------------------------------------------
SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_TLS
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_TLS else None
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}

# --- language and time ------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("zh-hans", "简体中文")]
LOCALE_PATHS = [BASE_DIR / "console" / "locale"]
LANGUAGE_COOKIE_NAME = "fusebox_language"
LANGUAGE_COOKIE_AGE = 31_536_000
USE_TZ = True
TIME_ZONE = env.str("FUSEBOX_TIME_ZONE", "UTC")

# --- files ------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
# Naming the folder says that `collectstatic` fills it: then every file has its hash in its name.
COLLECTED = bool(env.str("FUSEBOX_STATIC_ROOT", ""))
STATIC_ROOT = Path(env.str("FUSEBOX_STATIC_ROOT", "") or DATA_DIR / "static")
WHITENOISE_USE_FINDERS = not COLLECTED
WHITENOISE_MAX_AGE = 0 if DEBUG else 3600
STORAGES = {
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if COLLECTED
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    }
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 500

# --- long work --------------------------------------------------------------------------------
REDIS_URL = secret("REDIS_URL", "redis://127.0.0.1:6379/0")
OPERATION_LEASE_S = env.int("FUSEBOX_OPERATION_LEASE_S", 20)
NODE_TRANSFERS = env.int("FUSEBOX_NODE_TRANSFERS", 2)
TRANSFER_STALL_S = env.int("FUSEBOX_TRANSFER_STALL_S", 60)
TRANSFER_HOST = env.str("FUSEBOX_TRANSFER_HOST", "")
TRANSFER_PORT = env.int("FUSEBOX_TRANSFER_PORT", 0)

# --- models -----------------------------------------------------------------------------------
REQUIRE_MODEL_APPROVAL = env.bool("FUSEBOX_REQUIRE_MODEL_APPROVAL", True)
UPLOADS = Path(env.str("FUSEBOX_UPLOADS", "") or DATA_DIR / "uploads")
UPLOAD_MAX_BYTES = env.int("FUSEBOX_UPLOAD_MAX_GB", 32) * 1_000_000_000
UPLOAD_KEEP_HOURS = env.int("FUSEBOX_UPLOAD_KEEP_HOURS", 72)
# Limits of the child that reads a document (deployments/documents).
DOCUMENT_MAX_BYTES = env.int("FUSEBOX_DOCUMENT_MAX_MB", 20) * 1_000_000
DOCUMENT_MAX_PAGES = env.int("FUSEBOX_DOCUMENT_MAX_PAGES", 300)
DOCUMENT_SECONDS = env.int("FUSEBOX_DOCUMENT_SECONDS", 20)
DOCUMENT_MEMORY_BYTES = env.int("FUSEBOX_DOCUMENT_MEMORY_MB", 768) * 1_000_000
EXPORTS = Path(env.str("FUSEBOX_EXPORTS", "") or DATA_DIR / "exports")
SCENARIOS = Path(env.str("FUSEBOX_SCENARIOS", "") or DATA_DIR / "scenarios")
# Not beside the database, and not in its backups: whoever has both can read what was captured.
CONTENT_KEYS = Path(env.str("FUSEBOX_CONTENT_KEYS", "") or DATA_DIR / "content-keys")
CONTENT_MAX_DAYS = env.int("FUSEBOX_CONTENT_MAX_DAYS", 30)
CONTENT_MAX_KB = env.int("FUSEBOX_CONTENT_MAX_KB", 256)
CONTENT_CIPHER = {"sha256": "aes-256-gcm", "sm3": "sm4-gcm"}[LOG_HASH]
BUNDLE_KEY = Path(env.str("FUSEBOX_BUNDLE_KEY", "") or DATA_DIR / "bundle.key")
BUNDLE_TRUST: list[str] = env.list("FUSEBOX_BUNDLE_TRUST", [])

# --- nodes and the gateway --------------------------------------------------------------------
NODE_NETWORKS = env.list(
    "FUSEBOX_NODE_NETWORKS",
    ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7"],
)
GATEWAY_READ_TIMEOUT_S = env.int("FUSEBOX_NODE_READ_TIMEOUT_S", 300)
MAX_REQUEST_BYTES = env.int("FUSEBOX_MAX_REQUEST_BYTES", 4 * 1024 * 1024)

# --- the management API -----------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "console.api.authentication.KeyAuthentication",
        "console.api.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "console.api.paging.KeysetPagination",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "PAGE_SIZE": 50,
    "EXCEPTION_HANDLER": "console.errors.api_error",
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Fusebox",
    "DESCRIPTION": _("The management API of Fusebox."),
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "ENUM_NAME_OVERRIDES": {
        "OperationKindEnum": "deployments.models.OperationKind",
        "ChannelKindEnum": "audit.office.alarm_models.ChannelKind",
        "WitnessAlarmKindEnum": "audit.office.witnessing.KINDS",
        "AlarmVerdictEnum": "audit.office.alarm_models.Verdict",
        "HoldKindEnum": "audit.office.models.HoldKind",
        "FitVerdictEnum": "deployments.room.Verdict",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.str("FUSEBOX_LOG_LEVEL", "INFO")},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "axes": {"level": "ERROR"},
        "django.request": {"level": "ERROR"},
        # Anybody can send a wrong Host header; it is answered 400 and is no fault of ours.
        "django.security.DisallowedHost": {"level": "CRITICAL"},
    },
}

# User names are unique without regard to case, by a constraint that this check does not see.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
