"""A Django project in one module. Its DATABASES are those of a service behind RDS Proxy."""

import os

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "HOST": os.environ.get("RDS_PROXY_HOST", "localhost"),
        "NAME": os.environ["DATABASE_NAME"],
        "USER": os.environ["DATABASE_USER"],
        "PASSWORD": os.environ.get("DATABASE_PASSWORD"),
        "PORT": int(os.environ.get("RDS_PROXY_PORT", "5432")),
        "OPTIONS": {
            "sslmode": "require",  # RDS Proxy enforces TLS
        },
    }
}
INSTALLED_APPS = [
    "django.contrib.contenttypes",
    "django.contrib.auth",
    "django.contrib.sessions",
    "tests.drivers.django_shop",
]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
SECRET_KEY = "not one"
USE_TZ = True
