# mypy: ignore-errors


from torch.utils.data._utils.collate import default_collate as default_collate
from torch.utils.data._utils.collate import default_convert as default_convert
from torch.utils.data._utils.worker import get_worker_info as get_worker_info
from torch.utils.data.dataloader import DataLoader as DataLoader
from torch.utils.data.dataloader import _DatasetKind as _DatasetKind
from torch.utils.data.datapipes._decorator import argument_validation as argument_validation
from torch.utils.data.datapipes._decorator import functional_datapipe as functional_datapipe
from torch.utils.data.datapipes._decorator import guaranteed_datapipes_determinism as guaranteed_datapipes_determinism
from torch.utils.data.datapipes._decorator import non_deterministic as non_deterministic
from torch.utils.data.datapipes._decorator import runtime_validation as runtime_validation
from torch.utils.data.datapipes._decorator import runtime_validation_disabled as runtime_validation_disabled
from torch.utils.data.datapipes.datapipe import DataChunk as DataChunk
from torch.utils.data.datapipes.datapipe import DFIterDataPipe as DFIterDataPipe
from torch.utils.data.datapipes.datapipe import IterDataPipe as IterDataPipe
from torch.utils.data.datapipes.datapipe import MapDataPipe as MapDataPipe
from torch.utils.data.dataset import ChainDataset as ChainDataset
from torch.utils.data.dataset import ConcatDataset as ConcatDataset
from torch.utils.data.dataset import Dataset as Dataset
from torch.utils.data.dataset import IterableDataset as IterableDataset
from torch.utils.data.dataset import StackDataset as StackDataset
from torch.utils.data.dataset import Subset as Subset
from torch.utils.data.dataset import TensorDataset as TensorDataset
from torch.utils.data.dataset import random_split as random_split
from torch.utils.data.distributed import DistributedSampler as DistributedSampler
from torch.utils.data.sampler import BatchSampler as BatchSampler
from torch.utils.data.sampler import RandomSampler as RandomSampler
from torch.utils.data.sampler import Sampler as Sampler
from torch.utils.data.sampler import SequentialSampler as SequentialSampler
from torch.utils.data.sampler import SubsetRandomSampler as SubsetRandomSampler
from torch.utils.data.sampler import WeightedRandomSampler as WeightedRandomSampler
