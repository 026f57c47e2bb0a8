# The team server's image: MLflow and optuna-dashboard in the versions of requirements.lock, without torch, and the
# program of SeaweedFS. docker-compose.yml says what of it a service runs.
FROM chrislusf/seaweedfs:4.48 AS seaweedfs

FROM python:3.11.14-slim-bookworm

ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY requirements.lock /tmp/requirements.lock
RUN pip install --constraint /tmp/requirements.lock "mlflow[auth]" "psycopg[binary]" boto3 optuna-dashboard
COPY --from=seaweedfs /usr/bin/weed /usr/local/bin/weed
COPY server/auth.ini server/dashboard.py server/objects.py /etc/iqa/

# A number, so that `runAsNonRoot` policies can check it. A new volume takes over the owner of its folder.
RUN useradd --uid 10001 --no-create-home iqa && install -d -o iqa -g iqa /objects
USER 10001:10001
WORKDIR /
EXPOSE 5000
