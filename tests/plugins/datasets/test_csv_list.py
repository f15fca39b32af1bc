"""Lists of image files: what is read, and what is refused by its line."""

import numpy as np
import pytest
from pyarrow import csv as pyarrow_csv

from harness.contract import DamagedImage
from harness.suite.damaged import leave_out_damaged
from harness_plugins.datasets.csv_list import CsvList

ROWS = [
    ("pictures/0.png", "bee", "train"),
    ("pictures/1.png", "ant", "test"),
    ("pictures/2.png", "ant", "train"),
    ("../other/3.png", "bee", "test"),
    ("pictures/4, five.png", "bee", "train"),
]
LIST = """path,label,split
pictures/0.png,bee,train
pictures/1.png,ant,test
pictures/2.png,ant,train
../other/3.png,bee,test
"pictures/4, five.png",bee,train
"""


@pytest.fixture
def root(tmp_path, pixels, encoded):
    for number, (name, _, _) in enumerate(ROWS):
        path = tmp_path / "set" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(pixels[number]))
    (tmp_path / "set" / "list.csv").write_text(LIST)
    return tmp_path


def decoded(split):
    return np.asarray(split.inputs["image"]).transpose(0, 2, 3, 1)


def write(root, text, **options):
    (root / "set" / "list.csv").write_text(text, **options)


def test_rows_are_read_as_pyarrow_reads_them(root, pixels):
    table = pyarrow_csv.read_csv(root / "set" / "list.csv").to_pylist()
    prepared = CsvList(file="set/list.csv").prepare(root)
    assert prepared.classes == ("ant", "bee")
    for split, name in ((prepared.train, "train"), (prepared.test, "test")):
        rows = [row for row in range(len(table)) if table[row]["split"] == name]
        assert [prepared.classes[label] for label in split.labels] == [table[row]["label"] for row in rows]
        assert np.array_equal(decoded(split), pixels[rows])
        assert split.labels.dtype == np.int64


def test_columns_marks_and_delimiters_are_as_the_suite_says(root, pixels):
    text = (
        "\ufefffile;kind;id;part\n"
        "pictures/0.png;bee;7;fit\npictures/2.png;ant;8;fit\npictures/1.png;ant;9;hold\n"
    )
    write(root, text, encoding="utf-8")
    names = {"path_column": "file", "label_column": "kind", "split_column": "part"}
    component = CsvList(
        file="set/list.csv", delimiter=";", train="fit", test="hold", classes=("bee", "ant"), **names
    )
    prepared = component.prepare(root)
    assert prepared.classes == ("bee", "ant")
    assert prepared.train.labels.tolist() == [0, 1] and prepared.test.labels.tolist() == [1]
    assert np.array_equal(decoded(prepared.train), pixels[[0, 2]])


def test_a_list_for_each_split(root, pixels):
    (root / "set" / "train.csv").write_text("path,label\r\npictures/0.png,10\r\npictures/2.png,9\r\n")
    (root / "test.csv").write_text("label,path\n10,set/pictures/1.png")
    prepared = CsvList(file="set/train.csv", test_file="test.csv").prepare(root)
    assert prepared.classes == ("9", "10")
    assert prepared.train.labels.tolist() == [1, 0] and prepared.test.labels.tolist() == [1]
    assert np.array_equal(decoded(prepared.test), pixels[[1]])


HEAD = "path,label,split\n"
GOOD = "pictures/0.png,bee,train\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (HEAD + GOOD + "\n" + GOOD, r"^set/list\.csv line 3: an empty row$"),
        (HEAD + GOOD + ",,\n", r"line 3: an empty row"),
        (HEAD + GOOD + "pictures/1.png,,test\n", r'line 3: no value in column "label"'),
        (HEAD + GOOD + ",bee,test\n", r'line 3: no value in column "path"'),
        (HEAD + GOOD + "pictures/1.png,bee\n", r"line 3: 2 cells, the first row has 3 columns"),
        (HEAD + GOOD + "pictures/1.png,bee,dev\n", r'line 3: the split "dev" is neither "train" nor "test"'),
        (HEAD + GOOD + "pictures/1.png,been,test\n", r'line 3: unknown label "been".*did you mean "bee"\?'),
        (HEAD + '"pictures/0.png","b\nee",train\n' + "pictures/1.png,cat,test\n", r"line 4: unknown label"),
        (
            HEAD + GOOD + "../../up.png,bee,test\n",
            r'line 3: the path "\.\./\.\./up\.png" does not stay inside',
        ),
        (HEAD + GOOD + "/etc/passwd,bee,test\n", r"line 3: .*does not stay inside"),
        (HEAD + GOOD, r"no row of the test split"),
        ("path,split\n" + GOOD, r'line 1: 0 columns "label".*holds path, split'),
        ("path,label,label,split\n" + GOOD, r'line 1: 2 columns "label"'),
        (GOOD, r'line 1: 0 columns "path"'),
        ("", r"line 1: 0 columns .*holds nothing"),
        (HEAD + '"unclosed,bee,train\n', r"line \d: unexpected end of data"),
    ],
)
def test_a_row_that_is_not_as_it_should_be_is_told_by_its_line(root, text, message):
    write(root, text)
    with pytest.raises(ValueError, match=message):
        CsvList(file="set/list.csv").prepare(root)


def test_a_label_that_the_suite_does_not_name_is_told_by_its_line(root):
    with pytest.raises(
        ValueError, match=r'^set/list\.csv line 2: unknown label "bee": none of those that `classes`'
    ):
        CsvList(file="set/list.csv", classes=("ant", "wasp")).prepare(root)


def test_text_that_is_not_utf_8_is_refused(root):
    (root / "set" / "list.csv").write_bytes(HEAD.encode() + b"\xff\xfe\n")
    with pytest.raises(ValueError, match=r"set/list\.csv: not UTF-8"):
        CsvList(file="set/list.csv").prepare(root)


def test_a_file_that_is_missing_is_told_by_its_line_or_left_out_and_listed(root, pixels):
    (root / "set" / "pictures" / "2.png").unlink()
    with pytest.raises(FileNotFoundError, match=r'^set/list\.csv line 4: there is no file "pictures/2\.png"'):
        CsvList(file="set/list.csv").prepare(root)
    found = CsvList(file="set/list.csv", skip_damaged=True).prepare(root)
    prepared, rows = leave_out_damaged(found, "here")
    assert rows["train"].tolist() == [0, 2]
    assert prepared.skipped == ("set/list.csv line 4: set/pictures/2.png: No such file or directory",)
    assert np.array_equal(decoded(prepared.train), pixels[[0, 4]])


def test_a_damaged_image_is_named_with_its_line(root, encoded):
    path = root / "set" / "pictures" / "4, five.png"
    path.write_bytes(path.read_bytes()[:50])
    images = CsvList(file="set/list.csv").prepare(root).train.inputs["image"]
    with pytest.raises(DamagedImage, match=r"^set/list\.csv line 6: set/pictures/4, five\.png: ") as caught:
        images.read(np.array([2, 0]))
    assert caught.value.row == 2


def test_an_image_of_another_size_is_named_or_brought_to_the_one(root, pixels, encoded):
    (root / "set" / "pictures" / "2.png").write_bytes(encoded(pixels[2][:4]))
    with pytest.raises(
        ValueError, match=r"line 4: .*2\.png: the image is \(4, 5\), the first is \(6, 5\).*give size"
    ):
        decoded(CsvList(file="set/list.csv").prepare(root).train)
    assert decoded(CsvList(file="set/list.csv", size=(4, 5)).prepare(root).train).shape == (3, 4, 5, 3)


def test_a_list_that_is_absent_or_outside_is_named(root):
    with pytest.raises(FileNotFoundError, match="HARNESS_DATA"):
        CsvList(file="list.csv").prepare(None)
    with pytest.raises(FileNotFoundError, match=r"csv: there is no file .*list\.csv"):
        CsvList(file="list.csv").prepare(root)
    for outside in ("../list.csv", "/etc/passwd"):
        with pytest.raises(ValueError, match="inside the data root"):
            CsvList(file=outside).prepare(root)
