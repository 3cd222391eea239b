"""minicnn: a convolutional network in which every number can be followed by hand.

image -> data.transforms -> DataLoader -> nn layers -> logits -> criterion -> loss
                                            ^                      | backward
                              optim <- parameter.grad <------------+
logits -> softmax -> probabilities -> argmax -> index -> classes -> label
"""

from minicnn import data, nn
from minicnn.nn.grad_mode import no_grad

__version__ = "0.1.0"
__all__ = ["data", "nn", "no_grad"]
