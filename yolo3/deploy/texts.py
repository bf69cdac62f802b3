"""The texts of an exported folder."""

CREATE_SERVICE = """\
#!/usr/bin/env bash
# Create the endpoint and its first deployment from this folder, and give it all traffic.
# Usage: ./create_service.sh [ENDPOINT]    (3 to 32 letters, digits and hyphens; ENDPOINT_NAME)
# Needs the Azure CLI with its extension `ml`, a login (az login), and a workspace:
#   az configure --defaults group=RESOURCE_GROUP workspace=WORKSPACE
set -euo pipefail
unset CDPATH
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
endpoint="${1:-ENDPOINT_NAME}"

az ml online-endpoint create --name "$endpoint" --file endpoint.yml
az ml online-deployment create --endpoint-name "$endpoint" --file deployment.yml --all-traffic
az ml online-endpoint invoke --name "$endpoint" --request-file sample-request.json
az ml online-endpoint show --name "$endpoint" --query scoring_uri --output tsv
"""

WORKERS = "--worker-class gthread --threads 256"
"""Options of gunicorn. A slow client holds a thread; its default worker has but one."""

SERVE = (
    "AML_APP_ROOT=$PWD/code AZUREML_ENTRY_SCRIPT=score.py AZUREML_MODEL_DIR=$PWD/model "
    f"gunicorn -b 127.0.0.1:5001 {WORKERS} --timeout 300 "
    "azureml_inference_server_http.server.entry:app"
)
"""One command, run in the folder: the server that Azure ML runs, on this machine alone."""

README = f"""\
# A detector, ready for Azure ML

`model/` is the MLflow model, `code/score.py` answers for it under Azure ML's inference server.

## Serve it here

In an environment with what `requirements.txt` pins (`pip install -r requirements.txt`), in this
folder:

```bash
{SERVE}
```

Then, in another terminal:

```bash
curl http://127.0.0.1:5001/score -H 'Content-Type: image/jpeg' --data-binary @sample.jpg
curl http://127.0.0.1:5001/score -H 'Content-Type: application/json' -d @sample-request.json
curl http://127.0.0.1:5001/score -H 'Content-Type: image/jpeg' -H 'Accept: image/png' \\
  --data-binary @sample.jpg -o found.png
```

The first two answer JSON, `{{"predictions": [{{"detections": [...], "width": ..., ...}}]}}`, the
third the picture with its boxes. `GET /` says whether the server lives.

## Serve it in Azure ML

`./create_service.sh` with the Azure CLI, or `python -m yolo3 azureml-deploy --package .` with the
project that this folder comes from. Both cost money until the endpoint is deleted:
`az ml online-endpoint delete --name ENDPOINT`.
"""
