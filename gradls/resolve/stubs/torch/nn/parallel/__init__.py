# mypy: ignore-errors


from torch.nn.parallel.data_parallel import DataParallel as DataParallel
from torch.nn.parallel.data_parallel import data_parallel as data_parallel
from torch.nn.parallel.distributed import DistributedDataParallel as DistributedDataParallel
from torch.nn.parallel.parallel_apply import parallel_apply as parallel_apply
from torch.nn.parallel.replicate import replicate as replicate
from torch.nn.parallel.scatter_gather import gather as gather
from torch.nn.parallel.scatter_gather import scatter as scatter
