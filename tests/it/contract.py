# What a training script may rely on, checked from inside one.
import json
import os

env = os.environ
config = env["SM_INPUT_CONFIG_DIR"]


def read(name):
    with open(os.path.join(config, name)) as f:
        return json.load(f)


assert read("hyperparameters.json") == {"max_depth": "5", "kind": "gini"}
assert list(read("inputdataconfig.json")) == ["train"]
assert read("resourceconfig.json")["current_host"] == "algo-1"
assert config.endswith("/ml/input/config")
assert env["SM_MODEL_DIR"].endswith("/ml/model")
assert env["SM_OUTPUT_DATA_DIR"].endswith("/ml/output/data")
assert env["SM_OUTPUT_DIR"].endswith("/ml/output")
assert env["SM_INPUT_DIR"].endswith("/ml/input")
assert json.loads(env["SM_CHANNELS"]) == ["train"]
assert env["SM_CHANNEL_TRAIN"].endswith("/ml/input/data/train")
assert open(os.path.join(env["SM_CHANNEL_TRAIN"], "tracked.csv")).read() == "1\n"
assert json.loads(env["SM_HPS"]) == {"max_depth": 5, "kind": "gini"}
assert env["SM_HP_MAX_DEPTH"] == "5" and env["SM_HP_KIND"] == "gini"
assert json.loads(env["SM_USER_ARGS"]) == ["--kind", "gini", "--max_depth", "5"]
assert int(env["SM_NUM_CPUS"]) >= 1 and int(env["SM_NUM_GPUS"]) >= 0
assert env["SM_CURRENT_INSTANCE_TYPE"] == "local" and env["SM_MASTER"] == "algo-1"
assert env["PYTHONPATH"].split(os.pathsep)[1] == env["SM_MODULE_DIR"]
assert env["SM_CURRENT_HOST"] == "algo-1" and json.loads(env["SM_HOSTS"]) == ["algo-1"]
assert os.path.realpath(env["SM_MODULE_DIR"]) == os.path.realpath(os.getcwd())
assert json.loads(env["SM_TRAINING_ENV"])["hyperparameters"]["max_depth"] == 5
assert env["PYTHONUNBUFFERED"] == "1" and env["MINE"] == "yes"

kept = {"PATH", "HOME", "VIRTUAL_ENV", "CONDA_PREFIX", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "LD_LIBRARY_PATH"}
kept |= {"CUDA_DEVICE_ORDER"} | {name + "_VISIBLE_DEVICES" for name in ("CUDA", "NVIDIA", "ROCR", "HIP")}
ours = {"PYTHONUNBUFFERED", "PYTHONPATH", "MINE", "TRAINING_JOB_NAME"}
# The shell, Python itself and a version switch in front of it add these.
added = {"PWD", "SHLVL", "_", "OLDPWD", "LC_CTYPE"}
strange = {k for k in env if not k.startswith(("SM_", "PYENV_", "_PYENV_"))} - kept - ours - added
assert not strange, strange
assert os.listdir(".") == ["train.py"]

with open(os.path.join(env["SM_MODEL_DIR"], "model.json"), "w") as f:
    f.write("{}")
