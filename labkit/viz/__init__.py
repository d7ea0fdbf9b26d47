"""One function per picture; each returns a `Picture`, shown as the last line of a cell.

Live, a picture is an interactive plotly figure. With `LABKIT_STATIC=1` it is a PNG beside one line
of text that says what it shows. `watch` alone draws while it works. No picture needs a network.
"""

from labkit.viz.attention import attention_matrix
from labkit.viz.attention_viewer import AttentionViewer, attention
from labkit.viz.charts import curves, heatmap, next_token_bars, visible
from labkit.viz.league import LeagueTable, league_table
from labkit.viz.live import watch
from labkit.viz.logit_lens import LogitLens, logit_lens
from labkit.viz.picture import Picture
from labkit.viz.reading import Attentions, read_attention
from labkit.viz.timeline import TimelineEntry, timeline

__all__ = [
    "AttentionViewer",
    "Attentions",
    "LeagueTable",
    "LogitLens",
    "Picture",
    "TimelineEntry",
    "attention",
    "attention_matrix",
    "curves",
    "heatmap",
    "league_table",
    "logit_lens",
    "next_token_bars",
    "read_attention",
    "timeline",
    "visible",
    "watch",
]
