"""Any ``torch.nn.Module`` in memory: compressed, stored packed, loaded into a fresh object of its class."""
