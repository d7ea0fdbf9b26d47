"""One function per picture, shown as the last line of a cell: a `Picture` or a `Viewer`.

Live, a picture is an interactive plotly figure, and a viewer a widget that answers. With
`LABKIT_STATIC=1` each is a PNG beside one line of text that says what it shows. `watch` draws while
it works. Nothing needs a network.
"""

from labkit.viz.attention import AttentionViewer, attention
from labkit.viz.charts import curves, heatmap, next_token_bars, visible
from labkit.viz.compare import ComparisonViewer, compare
from labkit.viz.embeddings import EmbeddingsViewer, embeddings
from labkit.viz.league import LeagueTable, league_table
from labkit.viz.live import watch
from labkit.viz.picture import Picture
from labkit.viz.reading import Attentions, read_attention
from labkit.viz.sampling import SamplingViewer, sampling
from labkit.viz.timeline import TimelineEntry, timeline
from labkit.viz.tokens import TokensViewer, tokens

__all__ = [
    "AttentionViewer",
    "Attentions",
    "ComparisonViewer",
    "EmbeddingsViewer",
    "LeagueTable",
    "Picture",
    "SamplingViewer",
    "TimelineEntry",
    "TokensViewer",
    "attention",
    "compare",
    "curves",
    "embeddings",
    "heatmap",
    "league_table",
    "next_token_bars",
    "read_attention",
    "sampling",
    "timeline",
    "tokens",
    "visible",
    "watch",
]
