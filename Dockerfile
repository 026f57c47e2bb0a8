# The team server's image: MLflow and optuna-dashboard in the versions of requirements.lock, without torch.
FROM python:3.11.14-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements.lock /tmp/requirements.lock
RUN pip install --constraint /tmp/requirements.lock "mlflow[auth]" "psycopg[binary]" optuna-dashboard

# A number, so that `runAsNonRoot` policies can check it; /state holds the login database, /artifacts what runs leave.
RUN useradd --uid 10001 --no-create-home iqa && install -d -o iqa -g iqa /state /artifacts
USER 10001:10001
WORKDIR /state
EXPOSE 5000
