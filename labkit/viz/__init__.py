"""One function per picture, shown as the last line of a cell: a `Picture` or a `Viewer`.

Live, a picture is an interactive plotly figure, and a viewer a widget that answers. With
`LABKIT_STATIC=1` each is a PNG beside one line of text that says what it shows. `watch` draws while
it works. Nothing needs a network.
"""

from labkit.viz.charts import curves, heatmap, next_token_bars, visible
from labkit.viz.league import LeagueTable, league_table
from labkit.viz.live import watch
from labkit.viz.picture import Picture
from labkit.viz.timeline import TimelineEntry, timeline
from viewers.attention import AttentionViewer, attention
from viewers.chat import ChatViewer, chat_box, writer
from viewers.compare import ComparisonViewer, compare
from viewers.embeddings import EmbeddingsViewer, embeddings
from viewers.logit_lens import LogitLens, logit_lens
from viewers.reading import Attentions, read_attention
from viewers.sampling import SamplingViewer, sampling
from viewers.tokens import TokensViewer, tokens

__all__ = [
    "AttentionViewer",
    "Attentions",
    "ChatViewer",
    "ComparisonViewer",
    "EmbeddingsViewer",
    "LeagueTable",
    "LogitLens",
    "Picture",
    "SamplingViewer",
    "TimelineEntry",
    "TokensViewer",
    "attention",
    "chat_box",
    "compare",
    "curves",
    "embeddings",
    "heatmap",
    "league_table",
    "logit_lens",
    "next_token_bars",
    "read_attention",
    "sampling",
    "timeline",
    "tokens",
    "visible",
    "watch",
    "writer",
]
