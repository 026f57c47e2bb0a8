-- Run once, by psql, when the data directory is new: a role and a database for tracking, and for studies, each of which
-- can use its own alone. A study's workers know the password of the latter, MLflow that of the former.
\set ON_ERROR_STOP on
\getenv tracking MLFLOW_DATABASE_PASSWORD
\getenv studies OPTUNA_DATABASE_PASSWORD
CREATE ROLE mlflow LOGIN PASSWORD :'tracking';
CREATE ROLE optuna LOGIN PASSWORD :'studies';
CREATE DATABASE mlflow OWNER mlflow;
CREATE DATABASE optuna OWNER optuna;
REVOKE ALL ON DATABASE mlflow, optuna, postgres FROM PUBLIC;
