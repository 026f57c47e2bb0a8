"""Parameters that are misspelt, ill-typed, contradictory, or look like something else."""

from pathlib import Path

from bad_input import REFUSED, Case


def nothing(folder: Path) -> None:
    """The data are good."""


def _case(words: str, says: str, *before: str) -> Case:
    command = before or ("finetune", "--preset=smoke", "--data=DATA", "--crops.size=16")
    given = tuple(words.split(" ")) if words else ()
    names = {word.partition("=")[0] for word in given if "=" in word}
    kept = tuple(word for word in command if word.partition("=")[0] not in names)
    return Case("Parameters", f"`{words}`" if words else "nothing given", nothing, REFUSED, says, (*kept, *given))


DATA = ("data", "verify", "--data=DATA")
CASES = [
    _case("--epocs=3", "'epocs' is no parameter of finetune: did you mean 'epochs'?"),
    _case("--optim.patiense=3", "did you mean 'optim.patience'?"),
    _case("--epochs=many", "optim.epochs = 'many'"),
    _case("--epochs=0", "optim.epochs = '0'"),
    _case("--epochs=1.5", "optim.epochs = '1.5'"),
    _case("--batch_size=", "optim.batch_size = ''"),
    _case("--epochs=1_0", "optim.epochs = '1_0': give a number in the digits 0 to 9"),
    _case("--epochs=٣", "optim.epochs = '٣'"),
    _case("--head_lr=1_0e-5", "optim.head_lr = '1_0e-5': give a number in the digits 0 to 9"),
    _case("--head_lr=nan", "optim.head_lr = 'nan'"),
    _case("--head_lr=inf", "optim.head_lr = 'inf'"),
    _case("--head_lr=-1", "optim.head_lr = '-1'"),
    _case("--seed=-1", "seed = '-1'"),
    _case("--device=tpu", "compute.device = 'tpu'"),
    _case("--model.attention=perhaps", "model.attention = 'perhaps'"),
    _case("--devices=0", "compute.devices = '0'"),
    _case("--devices=99", "compute.devices is 99, and a batch has 64 images to share out"),
    _case("--devices=2", "devices is for pretrain, finetune and evaluate", "main", "--preset=smoke", "--data=DATA"),
    _case("--data.on_bad=ignore", "data.on_bad = 'ignore'"),
    _case("--epochs=1 --optim.epochs=2", "'optim.epochs' is given twice, also under its short name"),
    _case("--epochs=1 --epochs=2", "--epochs is given twice"),
    _case("--epochs", "--epochs has no value"),
    _case("epochs=1", "'epochs=1' belongs to no parameter: write --name=value"),
    _case("--preset=smoky", "'smoky' is no preset: did you mean 'smoke'?"),
    _case("--weights=nowhere.pth", "There are no weights at nowhere.pth"),
    _case("--weights=", "No weights are named: give bundled, timm, random, a file, a folder or runs:/ID/encoder."),
    _case("--model.weights=", "No weights are named", "pretrain", "--preset=smoke", "--data=DATA"),
    _case("--data=--lr=9", "there is no data set '--lr=9'"),
    _case("--data=$(touch$IFS/pwned)", "there is no folder '$(touch$IFS/pwned)'"),
    _case("--data=sampel", "there is no data set 'sampel': did you mean 'sample'?"),
    _case("--data=", "no data set is named"),
    _case("--protocol=random", "DATA has no protocol 'random': give one of"),
    _case("--protocol=koniq-official", "DATA has no protocol 'koniq-official'"),
    _case("--protocol=kfold-5 --data.fold=5", "there are folds 0 to 4 and rounds 0 to 9"),
    _case("--data.fold=1", "fold 1 is of kfold-5, not of random-60-20-20"),
    _case("--protocol=kfold-5 --data.round=1", "round 1 is of a drawn protocol"),
    _case("--data.input_size=big", "data.input_size = 'big': a size is native, the short side in pixels (512)"),
    _case("--data.input_size=koniq=51٢", "data.input_size = 'koniq=51٢': a size is native"),
    _case("--data.input_size=koniq=0x9", "data.input_size = 'koniq=0x9'"),
    _case("--data.input_size=konic=512", "input_size names 'konic': did you mean 'koniq'?"),
    _case("--data.resize_filter=cubic", "data.resize_filter = 'cubic'"),
    _case("--protocol=random-80-20", "has no validation part, so nothing can stop early"),
    _case("--data=DATA,DATA", "several data sets are named with commas, each once", "pretrain", "--preset=smoke"),
    _case("--action=verfy", "'verfy' is no action: did you mean 'verify'?", "data"),
    _case("--count=many", "count = 'many': give a whole number from 1 on", *DATA),
    _case("--count=٣", "count = '٣': give a whole number from 1 on", *DATA),
    _case("--pictures=maybe", "pictures is true or false, not 'maybe'", *DATA),
    _case("--epochs=3", "'epochs' is no parameter of data", *DATA),
    _case("--seeds=0-3-7", "seeds = '0-3-7': write them as 0,1,2 or as 0-7", "plan", "--preset=smoke"),
    _case("--seeds=1_0", "seeds = '1_0': write them as 0,1,2 or as 0-7", "plan", "--preset=smoke"),
    _case("--seeds=٣", "seeds = '٣': write them as 0,1,2 or as 0-7", "plan", "--preset=smoke"),
    _case("--targets=", "targets.names", "evaluate", "--preset=smoke", "--weights=DATA"),
]
