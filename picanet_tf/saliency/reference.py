"""The scores reported in the paper (Tables 1 and 2), for comparison with ours.

Each group of cells is max F, S-measure and MAE; a dash marks a score missing from the
paper. Max F is `max_f` of `SaliencyMetrics`. The last row of Table 2 is `6GAP_5432AC`
of Table 1.
"""

from typing import NamedTuple

# Data set -> number of images, in the order of the tables' columns.
IMAGES = {
    "sod": 300,
    "ecssd": 1_000,
    "pascal_s": 850,
    "hku_is": 4_447,
    "dut_omron": 5_168,
    "duts_te": 5_019,
}
DATASETS = tuple(IMAGES)

# Alternative names of data sets.
_OTHER_NAMES = {"dut_o": "dut_omron", "pascals": "pascal_s", "hkuis": "hku_is"}

# Published as "PiCANet"; the default variant here.
FINAL_VARIANT = "6GAP_5432AC"
# "+6GAP_5432AC w/o L_GA": the same network, trained without the attention loss.
NO_ATTENTION_LOSS = "6GAP_5432AC_no_attention_loss"


class PaperScore(NamedTuple):
    """Scores of one model on one data set, each 0..1; MAE: lower is better."""

    max_f: float
    s_measure: float
    mae: float


# fmt: off
_TABLE_1 = """
                               sod               ecssd             pascal_s          hku_is            dut_omron         duts_te
UNet                           .836 .753 .122    .906 .886 .052    .852 .809 .097    .894 .877 .045    .762 .794 .072    .823 .834 .057
6GAP                           .839 .759 .119    .915 .896 .049    .862 .818 .094    .903 .887 .044    .784 .810 .070    .837 .845 .056
6GAP_5AC                       .847 .773 .114    .921 .903 .048    .868 .826 .091    .910 .894 .043    .786 .817 .069    .843 .852 .054
6GAP_54AC                      .853 .780 .110    .927 .910 .045    .872 .829 .090    .915 .901 .041    .797 .825 .067    .851 .858 .054
6GAP_543AC                     .863 .789 .105    .933 .915 .045    .877 .832 .089    .921 .906 .040    .803 .830 .068    .854 .862 .054
6GAP_5432AC                    .858 .786 .107    .935 .917 .044    .883 .838 .085    .924 .908 .039    .808 .835 .065    .859 .867 .051
65432AC                        .858 .784 .110    .932 .914 .045    .880 .831 .087    .922 .904 .040    .805 .831 .063    .859 .865 .051
65GAP_432AC                    .866 .795 .105    .937 .917 .044    .876 .835 .088    .924 .908 .039    .805 .832 .067    .858 .866 .052
654GAP_32AC                    .859 .785 .107    .935 .916 .044    .877 .835 .087    .922 .905 .040    .802 .828 .066    .855 .864 .052
6GAP_5432LAP                   .866 .788 .106    .934 .916 .044    .880 .835 .087    .923 .905 .040    .799 .829 .066    .857 .862 .052
6GAP_5432AC_no_attention_loss  .857 .785 .109    .930 .913 .045    .879 .835 .086    .921 .905 .040    .801 .829 .066    .856 .863 .053
6ReNet_5432LC                  .851 .774 .114    .920 .900 .049    .866 .820 .093    .907 .891 .043    .786 .816 .071    .841 .850 .056
6G_5432L_AveP                  .842 .770 .114    .918 .899 .048    .865 .823 .092    .905 .889 .043    .782 .811 .071    .837 .847 .056
6G_5432L_MaxP                  .845 .771 .116    .918 .899 .048    .866 .819 .093    .905 .889 .042    .776 .808 .070    .838 .848 .055
"""  # noqa: E501

_TABLE_2 = """
                               sod               ecssd             pascal_s          hku_is            dut_omron         duts_te
MDF                            .760 .633 .192    .832 .776 .105    .781 .672 .165       -    -    -    .694 .721 .092    .711 .727 .114
DCL                            .825 .745 .198    .901 .868 .075    .823 .783 .189    .885 .861 .137    .739 .764 .157    .782 .795 .150
RFCN                           .807 .717 .166    .898 .860 .095    .850 .793 .132    .898 .859 .080    .738 .774 .095    .783 .791 .090
DHS                            .827 .747 .133    .907 .884 .059    .841 .788 .111    .902 .881 .054       -    -    -    .829 .836 .065
Amulet                         .808 .755 .145    .915 .894 .059    .857 .821 .103    .896 .883 .052    .743 .781 .098    .778 .803 .085
NLDF                           .842 .753 .130    .905 .875 .063    .845 .790 .112    .902 .879 .048    .753 .770 .080    .812 .815 .066
DSS                            .846 .749 .126    .916 .882 .053    .846 .777 .112    .911 .881 .040    .771 .788 .066    .825 .822 .057
SRM                            .845 .739 .132    .917 .895 .054    .862 .816 .098    .906 .887 .046    .769 .798 .069    .827 .835 .059
RA                             .852 .761 .129    .921 .893 .056    .842 .772 .122    .913 .887 .045    .786 .814 .062    .831 .838 .060
PAGRN                             -    -    -    .927 .889 .061    .861 .792 .111    .918 .887 .048    .771 .775 .071    .855 .837 .056
C2S-Net                        .824 .758 .128    .911 .896 .053    .864 .827 .092    .899 .889 .046    .759 .799 .072    .811 .831 .062
BMP                            .856 .784 .112    .928 .911 .045    .877 .831 .086    .921 .907 .039    .774 .809 .064    .851 .861 .049
DGRL                           .849 .770 .110    .925 .906 .043    .874 .826 .085    .913 .897 .037    .779 .810 .063    .834 .845 .051
PiCANet                        .858 .786 .107    .935 .917 .044    .883 .838 .085    .924 .908 .039    .808 .835 .065    .859 .867 .051
"""  # noqa: E501
# fmt: on


def _parse(table: str) -> dict[str, dict[str, PaperScore]]:
    header, *rows = table.strip().splitlines()
    datasets = header.split()
    scores: dict[str, dict[str, PaperScore]] = {}
    for row in rows:
        name, *cells = row.split()
        groups = zip(*[iter(cells)] * 3, strict=True)
        scores[name] = {
            dataset: PaperScore(*map(float, group))
            for dataset, group in zip(datasets, groups, strict=True)
            if "-" not in group
        }
    return scores


# Model -> data set -> scores, in the paper's order.
TABLE_1 = _parse(_TABLE_1)
TABLE_2 = _parse(_TABLE_2)


def paper_score(variant: str, dataset: str) -> PaperScore | None:
    """Returns the scores of a variant in Table 1, or None.

    Args:
        variant: name of a variant, such as `6GAP_5432AC`, or `NO_ATTENTION_LOSS`.
        dataset: one of `DATASETS`.
    """
    return TABLE_1.get(variant, {}).get(dataset)


def published_score(method: str, dataset: str) -> PaperScore | None:
    """Returns the scores of a published method in Table 2, or None.

    Args:
        method: a row of `TABLE_2`, such as `DSS`.
        dataset: one of `DATASETS`.
    """
    return TABLE_2.get(method, {}).get(dataset)


def paper_row(dataset: str, variant: str | None, method: str = "") -> PaperScore | None:
    """Returns the paper's scores of a variant or published method, or None.

    Spelling is normalized: `"DUTS-TE"` equals `"duts_te"`, and `"dss"` equals `"DSS"`.
    """
    if variant is not None:
        return paper_score(variant, dataset_key(dataset))
    names = {name.lower(): name for name in TABLE_2}
    return published_score(names.get(method.lower(), ""), dataset_key(dataset))


def dataset_key(dataset: str) -> str:
    """Normalizes the name of a data set to a key of the tables."""
    key = dataset.lower().replace("-", "_")
    return _OTHER_NAMES.get(key, key)
