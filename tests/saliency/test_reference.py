import pytest

from picanet_tf.saliency.reference import (
    DATASETS,
    FINAL_VARIANT,
    NO_ATTENTION_LOSS,
    TABLE_1,
    TABLE_2,
    PaperScore,
    paper_score,
    published_score,
)


# Typed from the paper's Table 1 by hand, not from the module.
@pytest.mark.parametrize(
    "variant, dataset, expected",
    [
        ("UNet", "sod", (0.836, 0.753, 0.122)),
        ("UNet", "duts_te", (0.823, 0.834, 0.057)),
        ("6GAP_543AC", "pascal_s", (0.877, 0.832, 0.089)),
        ("6GAP_5432AC", "dut_omron", (0.808, 0.835, 0.065)),
        ("65432AC", "dut_omron", (0.805, 0.831, 0.063)),
        ("65GAP_432AC", "ecssd", (0.937, 0.917, 0.044)),
        ("6GAP_5432LAP", "hku_is", (0.923, 0.905, 0.040)),
        ("6GAP_5432AC_no_attention_loss", "sod", (0.857, 0.785, 0.109)),
        ("6G_5432L_AveP", "duts_te", (0.837, 0.847, 0.056)),
        ("6G_5432L_MaxP", "hku_is", (0.905, 0.889, 0.042)),
    ],
)
def test_table_1(variant, dataset, expected):
    score = paper_score(variant, dataset)
    assert (score.max_f, score.s_measure, score.mae) == expected


@pytest.mark.parametrize(
    "method, dataset, expected",
    [
        ("DSS", "sod", (0.846, 0.749, 0.126)),
        ("DHS", "duts_te", (0.829, 0.836, 0.065)),
        ("PAGRN", "ecssd", (0.927, 0.889, 0.061)),
        ("DGRL", "hku_is", (0.913, 0.897, 0.037)),
        ("MDF", "hku_is", None),
        ("DHS", "dut_omron", None),
        ("PAGRN", "sod", None),
    ],
)
def test_table_2(method, dataset, expected):
    assert published_score(method, dataset) == expected


def test_rows_and_columns():
    assert list(TABLE_1) == [
        "UNet",
        "6GAP",
        "6GAP_5AC",
        "6GAP_54AC",
        "6GAP_543AC",
        "6GAP_5432AC",
        "65432AC",
        "65GAP_432AC",
        "654GAP_32AC",
        "6GAP_5432LAP",
        NO_ATTENTION_LOSS,
        "6ReNet_5432LC",
        "6G_5432L_AveP",
        "6G_5432L_MaxP",
    ]
    assert len(TABLE_2) == 14
    assert all(tuple(row) == DATASETS for row in TABLE_1.values())
    assert sum(len(row) for row in TABLE_2.values()) == 14 * 6 - 3


def test_the_tables_agree_on_the_final_model():
    assert TABLE_2["PiCANet"] == TABLE_1[FINAL_VARIANT]


def test_mae_is_the_third_column():
    for table in (TABLE_1, TABLE_2):
        for row in table.values():
            for score in row.values():
                assert score.mae < 0.2 < 0.6 < min(score.max_f, score.s_measure)


def test_the_attention_loss_helps_a_little():
    # Sec. 5.4: "slightly worse" without it, on all sets.
    for dataset in DATASETS:
        with_loss = paper_score(FINAL_VARIANT, dataset)
        assert paper_score(NO_ATTENTION_LOSS, dataset).max_f < with_loss.max_f


def test_scores_that_the_paper_lacks_are_none():
    assert paper_score("6GAP_54LAP", "sod") is None
    assert paper_score("UNet", "my_photos") is None
    assert isinstance(paper_score("UNet", "sod"), PaperScore)
