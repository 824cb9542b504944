"""What is tried of `keras.ops` and `keras.layers`: one expression a line.

An expression is called on the model's inputs, which it names: see `INPUTS`. Functions are those of
`keras.ops`, classes those of `keras.layers`; `ops` and `np` are the modules.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

# name -> shape without batch, dtype
INPUTS: dict[str, tuple[tuple[int, ...], str]] = {
    "x": ((4, 6), "float32"),
    "y": ((4, 6), "float32"),
    "v": ((6,), "float32"),
    "w": ((6,), "float32"),
    "s": ((4, 4), "float32"),
    "image": ((8, 8, 3), "float32"),
    "volume": ((4, 4, 4, 2), "float32"),
    "frames": ((3, 6, 6, 2), "float32"),
    "signal": ((64,), "float32"),
    "i": ((6,), "int32"),
    "j": ((6,), "int32"),
    "ids": ((4,), "int32"),
    "flags": ((4,), "bool"),
}

ELEMENTWISE = """
abs absolute fabs negative square sqrt(abs(x)) rsqrt(abs(x)+1) exp exp2 expm1 log(abs(x)+1)
log10(abs(x)+1) log1p(abs(x)) log2(abs(x)+1) sin cos tan sinh cosh tanh arcsin(tanh(x))
arccos(tanh(x)) arctan arcsinh arccosh(abs(x)+1) arctanh(0.9*tanh(x)) ceil floor round trunc sign
signbit reciprocal(x+10) cbrt deg2rad rad2deg sinc i0 isnan isinf isfinite isneginf isposinf
logical_and(isreal(x),x>0) nan_to_num real(x)+1 imag(x)*x+x*2 conj(x)+1 conjugate(x)+1 angle
copy(x)+1 erf erf(x*3) erfc(x*3) erf(x*0.01) erfinv(clip(x*0.4,-0.999,0.999)) sinh(x*0.01)
sinh(x*8) cosh(x*8) arcsinh(x*1000000) arcsinh(x*0.01) tan(x*2) i0(x*5) erfc erfinv(0.9*tanh(x))
logical_not(x>0) sigmoid relu relu6 silu swish softplus softsign elu selu celu gelu
gelu(x,approximate=False) 0.5*x*(1+erf(x/2**0.5)) 0.5*erfc(-x/2**0.5)
0.5*x*erfc(-y*0.7071067811865476) leaky_relu hard_sigmoid hard_silu hard_swish hard_tanh hard_shrink
soft_shrink tanh_shrink log_sigmoid sparse_sigmoid sparse_plus squareplus threshold(x,0.5,-1.0)
softmax log_softmax sparsemax glu softmax(x,axis=1) log_softmax(x,axis=1) softmax(x,axis=(1,2))
sparsemax(x,axis=1) glu(x,axis=1) round(x,decimals=1) isclose(x,y) allclose(x,y)
normalize(x,axis=-1) normalize(x,order=1) normalize(x,order=3) stop_gradient(x)+1 cast(x,'int32')
cast(x,'bool') cast(x,'float16') cast(i,'float32') saturate_cast(x*100,'int8') cast(x,'int8')
cast(abs(x),'uint8') cast(x,'int16') cast(x,'int64') cast(x,'float64')
cast(x,'int8')+cast(y,'int8') cast(x,'int8')*cast(y,'int8')
cast(abs(x),'uint8')+cast(abs(y),'uint8') cast(x,'int16')*cast(y,'int16')
cast(x,'int64')*cast(y,'int64') cast(x,'int64')+cast(y,'int64') cast(x,'int64')-cast(y,'int64')
cast(x,'int64')//3 cast(x,'int64')%3 maximum(cast(x,'int64'),1) sum(cast(x,'int64'),axis=-1)
max(cast(x,'int64'),axis=-1) argmax(cast(x,'int64'),axis=-1) cast(x,'int8')//3
cast(abs(x),'uint8')//2 cast(x,'int8')%3 sigmoid(cast(x,'float16'))
Dense(3,dtype='mixed_float16')(x) LayerNormalization(dtype='mixed_float16')(x)
Dense(3,dtype='mixed_bfloat16')(x) softmax(cast(x,'bfloat16')) equal(x,float('inf'))
not_equal(x/floor(x),float('inf')) not_equal(-x/floor(x),-float('inf'))
equal(-x/floor(x),-float('inf')) cast(x,'int8')>cast(y,'int8')
where(cast(x,'int8')>0,cast(x,'int8'),cast(y,'int8')) cast(x,'float16')+cast(y,'float16')
exp(cast(x,'float16')) sum(cast(x,'float16'),axis=-1)
matmul(cast(x,'float16'),cast(swapaxes(y,1,2),'float16')) argmax(cast(x,'float16'),axis=-1)
sort(cast(x,'float16')) max(cast(x,'int8'),axis=-1) concatenate([cast(x,'int8'),cast(y,'int8')])
abs(cast(x,'int8')) sort(cast(x,'int8')) argmax(cast(x,'int8'),axis=-1)
transpose(cast(x,'int8'),(0,2,1)) sum(cast(x,'int8'),axis=-1) mean(cast(x,'int8'),axis=-1)
equal(cast(x,'int8'),cast(y,'int8')) take(cast(x,'int8'),[0,2],axis=1)
bitwise_and(cast(x,'int8'),cast(y,'int8')) cast(cast(x,'int8'),'float32') top_k(cast(x,'int64'),2)
sort(cast(x,'int64')) cumsum(cast(x,'int64'),axis=-1) one_hot(cast(ids,'int64'),5)
take(x[0],cast(ids[0]%4,'int64'),axis=0) cast(x>0,'int64')
where(x>0,cast(x,'int64'),cast(y,'int64')) prod(cast(x,'int64'),axis=-1) negative(cast(x,'int64'))
square(cast(x,'int64')) power(cast(x,'int64'),2) sign(cast(x,'int64')) min(cast(x,'int64'),axis=-1)
mean(cast(x,'int64'),axis=-1) cast(x,'int64')/cast(y,'int64') nan_to_num(log(x)) isnan(log(x))
isinf(log(x)) isfinite(log(x)) isneginf(log(x)) isposinf(-log(x)) logsumexp(log(relu(x)),axis=-1)
nan_to_num(x/floor(x),nan=1.0,posinf=5.0,neginf=-5.0)
"""

INTEGER = """
abs(i) negative(i) square(i) sign(i) sqrt(abs(i)) exp(i) mean(i,axis=-1) sum(i,axis=-1)
prod(i%3,axis=-1) max(i,axis=-1) min(i,axis=-1) argmax(i,axis=-1) argmin(i,axis=-1) sort(i)
argsort(i) cumsum(i,axis=-1) cumprod(i%3,axis=-1) any(i>2,axis=-1) all(i>-9,axis=-1)
count_nonzero(i,axis=-1) floor_divide(i,3) floor_divide(i,-3) mod(i,3) mod(i,-3) fmod(i,3)
divide(i,3) true_divide(i,j) power(i,2) maximum(i,j) minimum(i,j) add(i,j) subtract(i,j)
multiply(i,j) equal(i,j) not_equal(i,j) less(i,j) less_equal(i,j) greater(i,j) greater_equal(i,j)
bitwise_and(i,j) bitwise_or(i,j) bitwise_xor(i,j) bitwise_not(i) bitwise_invert(i) left_shift(i,2)
bitwise_left_shift(i,2) right_shift(i,1) bitwise_right_shift(i,1) gcd(i,j) lcm(i,j)
bincount(abs(i),minlength=12)
bincount(abs(i),weights=array([1.0,2.0,3.0,4.0,5.0,6.0]),minlength=12) one_hot(ids,5)
one_hot(ids,5,dtype='int32') one_hot(ids,5,axis=1) one_hot(ids-1,5) multi_hot(ids,5) clip(i,-1,3)
where(i>j,i,j) diff(i) flip(i,axis=-1) roll(i,2,axis=-1) tile(i,2) repeat(i,2,axis=-1)
ptp(i,axis=-1) median(i,axis=-1) std(i,axis=-1) var(i,axis=-1) dot(i,arange(6))
matmul(i,ones((6,2),'int32')) digitize(v,np.array([-1.0,0.0,1.0]))
searchsorted(convert_to_tensor([-1.0,0.0,1.0]),v[0])
searchsorted(convert_to_tensor([-1.0,0.0,1.0]),v[0],side='right') isin(i,[1,3])
isin(i,[1,3],invert=True) unravel_index(abs(i),(4,5)) heaviside(i,ones((6,),'int32')) ldexp(v,i)
unique(i) nonzero(i) take(convert_to_tensor([[1.0,2.0],[3.0,4.0],[5.0,6.0]]),ids%3,axis=0)
logical_and(i>1,j>1) abs(cast(i,'int64')) top_k(i,2) argpartition(i[0],2) nanargmax(i,axis=-1)
bitwise_and(i,array(3,'int32')) floor(i/2) round(i)+1 round(i,decimals=-1) i//3 i%4 i/3 -i i**2
max(i) logical_not(flags) any(flags,axis=-1) where(flags[:,:,None],x,y)
where(flags[:,:,None],x,0.0) cast(flags,'float32') cast(flags,'int32') sum(flags,axis=-1)
logical_xor(flags,ids>1) logical_or(flags,ids>1) argmax(flags,axis=-1) cumsum(flags,axis=-1)
equal(flags,True) full_like(i,3)+i ones_like(i)+i zeros_like(i)+i average(i,axis=-1) floor(i)
angle(i) sort(flags) max(flags,axis=-1) repeat(i,[1,2,1,1,1,1],axis=-1)
"""

BINARY = """
add subtract multiply divide true_divide divide_no_nan floor_divide mod fmod power(abs(x)+0.1,y)
maximum minimum fmax fmin arctan2 hypot logaddexp logaddexp2 greater greater_equal less less_equal
equal not_equal logical_and logical_or logical_xor heaviside nextafter divide_no_nan(x,floor(y))
divide(x,2) power(x,2) power(x,3.0) power(2.0,x) power(abs(x),0.5) floor_divide(x,1.5) mod(x,1.5)
mod(x,-1.5) fmod(x,-1.5) add(x,1) maximum(x,0) multiply(x,v[:,None]) x+y x-y x*y x/y x//y x%y x**2
s@x x<y abs(x)**y -x 2.0-x 1.0/x x[:,1:3] x[:,-1] x[:,::-1] x[:,None] x[...,0] x[:,1::2]
dot(x,ones((6,3))) matmul(x,swapaxes(y,1,2)) matmul(s,x) inner(v,arange(6,dtype='float32'))
outer(v[0],w[0]) vdot(x,y) tensordot(x,ones((6,3)),1) tensordot(x,y,axes=[[2],[2]])
cross(x[:,:,:3],y[:,:,:3]) cross(x[:,:,:2],y[:,:,:2]) kron(x[0],y[0]) einsum('bij,bkj->bik',x,y)
einsum('bij,bij->b',x,y) einsum('bij->bji',x) einsum('bij->bi',x) einsum('bij,bij->bij',x,y)
einsum('bi,bj->bij',v,w) einsum('bii->bi',s) einsum('bii->b',s) einsum('...ij,...jk->...ik',s,x)
einsum('bij,jkl->bikl',x,ones((6,2,3))) einsum('bij,kj->bki',x,ones((3,6)))
einsum('bij,bik,bil->bjkl',x,y,x) einsum('bi,bi->b',v,w) einsum('bhwc,c->bhw',image,ones((3,)))
einsum('bij,bkl->bil',x,y) einsum('bij,ij->b',x,ones((4,6))) where(x>y,x,y) where(x>0,x,0.0)
select([x>1,x<-1],[x,y],0.5) correlate(v[0],w[0]) correlate(v[0],w[0],mode='same')
correlate(v[0],w[0],mode='full') cdist(x,y) polar(x,y)
"""

REDUCTION = """
sum sum(x,axis=-1) sum(x,axis=1,keepdims=True) sum(x,axis=(1,2)) mean mean(x,axis=-1)
mean(x,axis=(1,2),keepdims=True) max max(x,axis=-1) max(x,axis=1,keepdims=True)
max(x,axis=-1,initial=1.0) min min(x,axis=-1) amax(x,axis=-1) amin(x,axis=-1) prod prod(x,axis=-1)
std std(x,axis=-1) std(x,axis=1,keepdims=True) var var(x,axis=-1) all(x>-2,axis=-1)
any(x>1,axis=-1) all(x>-2) any(x>1,axis=1,keepdims=True) argmax argmax(x,axis=-1) argmax(x,axis=1)
argmax(x,axis=-1,keepdims=True) argmax(x,keepdims=True) cast(argmax(x,axis=-1),'int32')
cast(argmax(x,axis=-1),'float32') argmin argmin(x,axis=-1) argmin(x,axis=1,keepdims=True) argmin(v)
argmax(softmax(v)) argmax(image,axis=-1) logsumexp logsumexp(x,axis=-1)
logsumexp(x,axis=1,keepdims=True) logsumexp(x,axis=(1,2)) count_nonzero count_nonzero(x,axis=-1)
cumsum(x,axis=1) cumsum(x,axis=-1) cumsum(x) cumprod(x,axis=1) cumprod(x,axis=-1) cumprod(x)
cumsum(x,axis=1,dtype='int32') median median(x,axis=-1) median(x,axis=1,keepdims=True)
median(x,axis=(1,2)) quantile(x,0.3,axis=-1) quantile(x,[0.3,0.8],axis=1)
quantile(x,0.3,axis=-1,method='nearest') quantile(x,0.3,axis=-1,method='lower')
percentile(x,30,axis=-1) average(x,axis=-1) average(x,axis=1,weights=array([1.0,2.0,3.0,4.0]))
average(x,axis=-1,weights=abs(v[0])+1) ptp ptp(x,axis=-1) moments(x,axes=[1])
moments(x,axes=[1,2],keepdims=True) norm(x) norm(x,axis=-1) norm(x,ord=1,axis=-1)
norm(x,ord=3,axis=-1) norm(x,ord=float('inf'),axis=-1) norm(x,ord=-float('inf'),axis=-1)
norm(x,ord='fro',axis=(1,2)) norm(x,ord=0,axis=-1) norm(x,ord=1,axis=(1,2))
norm(x,ord='nuc',axis=(1,2)) norm(x,ord=2,axis=(1,2)) nansum(x,axis=-1) nanmean(x,axis=-1)
nanmax(x,axis=-1) nanmin(x,axis=-1) nanstd(x,axis=-1) nanvar(x,axis=-1) nanprod(x,axis=-1)
nancumsum(x,axis=-1) nancumprod(x,axis=-1) nanargmax(x,axis=-1) nanargmin(x,axis=-1)
nanmedian(x,axis=-1) nanquantile(x,0.3,axis=-1) nanpercentile(x,30,axis=-1) nansum(log(x),axis=-1)
nanmean(log(x),axis=-1) nanmax(log(abs(x)-0.4),axis=-1) nanargmax(log(x),axis=-1) top_k(x,2)
top_k(x,2)[1] top_k(x,2,sorted=False)[0] top_k(v,3) top_k(image,2) in_top_k(ids[0],x[0],2) sort
sort(x,axis=-1) sort(x,axis=1) sort(v) argsort argsort(x,axis=-1) argsort(x,axis=1) argsort(v)
argsort(x,axis=None) sort(x,axis=None) argpartition(x[0,0],2) histogram(v[0])
bincount(ids,minlength=5) trapezoid(x) trapezoid(x,dx=0.5,axis=1) diff diff(x,n=2) diff(x,axis=1)
corrcoef(x[0]) trace(s,axis1=1,axis2=2) segment_sum(x[0],ids[0],num_segments=5)
segment_max(x[0],ids[0],num_segments=5) segment_min(x[0],ids[0],num_segments=5)
segment_prod(x[0],ids[0],num_segments=5)
segment_sum(x[0],convert_to_tensor([0,0,1,3]),num_segments=5,sorted=True)
digitize(x,np.array([-1.0,0.0,1.0])) rms_normalization(x) layer_normalization(x)
batch_normalization(x,zeros(6),ones(6),axis=-1) softmax(sum(x,axis=-1)) unstack(x,axis=1)
psnr(x,y,1.0) searchsorted(sort(v[0]),w[0])
"""

SHAPE = """
reshape(x,(-1,24)) reshape(x,(-1,6,4)) ravel transpose(x,(0,2,1)) swapaxes(x,1,2) moveaxis(x,1,2)
expand_dims(x,1) expand_dims(x,-1) squeeze(x[:,:1],1) squeeze(x[:,:1]) flip flip(x,axis=1) fliplr
flipud rot90(x,axes=(1,2)) rot90(x,k=2,axes=(1,2)) rot90(x,k=3,axes=(1,2)) roll(x,1)
roll(x,1,axis=1) roll(x,-2,axis=-1) roll(x,(1,2),axis=(1,2)) tile(x,(1,2,3)) tile(x,2)
repeat(x,2,axis=1) repeat(x,2) repeat(x,3,axis=-1) broadcast_to(x[:,:1],(1,4,6))
concatenate([x,y],axis=-1) concatenate([x,y],axis=1) append(x,y,axis=1) append(x,y)
stack([x,y],axis=1) stack([x,y],axis=-1) hstack([x,y]) vstack([x,y]) dstack([x,y])
split(x,2,axis=1) split(x,[1,3],axis=1) array_split(x,4,axis=-1) hsplit(x,2) vsplit(x,1)
dsplit(x,2) pad(x,[[0,0],[1,2],[0,1]]) pad(x,[[0,0],[1,2],[0,0]],mode='reflect')
pad(x,[[0,0],[1,2],[0,0]],mode='symmetric') pad(x,[[0,0],[1,2],[0,0]],constant_values=2.0) tril
triu tril(x,k=1) triu(x,k=-1) tril(s,k=-1) diag(v[0]) diag(s[0]) diagflat(v[0])
diagonal(s,axis1=1,axis2=2) diagonal(x,offset=1,axis1=1,axis2=2) meshgrid(v[0],w[0])
meshgrid(v[0],w[0],indexing='ij') take(x,[0,2],axis=1) take(x,2,axis=1) take(x,-1,axis=1)
take(x,[0,-1],axis=-1) take(x,3) take(x,[5,1]) take(x[0],ids[0]%4,axis=0)
take_along_axis(x,argsort(x,axis=-1),axis=-1) take_along_axis(x,ids[:,:,None],axis=-1)
take_along_axis(x,argmax(x,axis=1,keepdims=True),axis=1) get_item(x,(0,)) slice(x,(0,1,2),(1,2,3))
slice_update(x,(0,1,2),ones((1,2,3))) scatter(cast(ids[0][:,None],'int32'),x[0],(5,6))
scatter_update(x[0],[[0],[2]],ones((2,6))) vander(v[0],3) vander(v[0]) eye(6)+x[:,:1]
identity(6)+x[:,:1] tri(4,6)+x ones_like(x)+x where(x>0,zeros_like(x),x) full_like(x,2.0)+x
arange(6)+x linspace(0.0,1.0,6)+x linspace(v[0,0],w[0,0],5) linspace(v,w,5,axis=1)
logspace(0.0,1.0,6)+x logspace(v,w,3,axis=1) geomspace(1.0,8.0,6)+x
geomspace(abs(v)+1,abs(w)+2,3,axis=1) hamming(6)+x hanning(6)+x bartlett(6)+x blackman(6)+x
kaiser(6,2.0)+x array([1.0,2.0])+x[:,:,:2] where(x>0,empty_like(x)*0,x) zeros((4,6))-x
ones((4,6))+x full((4,6),2.0)+x size(x)+x shape(x)[1]+x clip(x,-1,1) view(x,dtype='int32')
rearrange(x[0],'t f -> f t') rearrange(x[0],'t (h f) -> h t f',h=2)
depth_to_space(image[...,:1]*ones((4,)),2) space_to_depth(image,2)
unfold(transpose(image,(0,3,1,2)),2) fold(reshape(volume,(-1,8,16)),(5,5),2)
extract_sequences(signal,16,8) unravel_index(argmax(v,axis=-1),(2,3))
"""

NN = """
max_pool(x,2) max_pool(x,2,1,padding='same') average_pool(x,2) average_pool(x,3,1,padding='same')
max_pool(image,2) average_pool(image,2,padding='same') max_pool(volume,2) average_pool(volume,2)
adaptive_average_pool(x,(2,)) adaptive_max_pool(x,(2,)) adaptive_average_pool(image,(3,2))
adaptive_max_pool(image,(3,2)) conv(x,ones((3,6,2)))
conv(x,ones((3,6,2)),padding='same',dilation_rate=2) conv(image,ones((3,3,3,2)),2,padding='same')
conv(volume,ones((2,2,2,2,3))) depthwise_conv(image,ones((3,3,3,2)))
depthwise_conv(x,ones((3,6,1))) separable_conv(image,ones((3,3,3,1)),ones((1,1,3,4)))
conv_transpose(x,ones((3,2,6)),2,data_format='channels_last')
conv_transpose(image,ones((3,3,2,3)),2,padding='same',data_format='channels_last')
conv_transpose(volume,ones((2,2,2,3,2)),2,data_format='channels_last')
binary_crossentropy(sigmoid(x),cast(y>0,'float32'))
binary_crossentropy(cast(y>0,'float32'),x,from_logits=True)
categorical_crossentropy(softmax(y),softmax(x))
categorical_crossentropy(softmax(y),x,from_logits=True)
sparse_categorical_crossentropy(ids,softmax(x))
sparse_categorical_crossentropy(ids,x,from_logits=True)
ctc_loss(ids[:,:2]%5+1,x,ids[:,0]*0+2,ids[:,0]*0+4) ctc_decode(x,array([4]))
ctc_decode(x,array([4]),strategy='beam_search')
dot_product_attention(reshape(x,(-1,4,2,3)),reshape(y,(-1,4,2,3)),reshape(x,(-1,4,2,3)))
dot_product_attention(reshape(x,(-1,4,2,3)),reshape(y,(-1,4,2,3)),reshape(x,(-1,4,2,3)),
is_causal=True)
dot_product_attention(reshape(x,(-1,4,2,3)),reshape(y,(-1,4,2,3)),reshape(x,(-1,4,2,3)),
mask=flags[:,None,None,:]) cholesky(s@swapaxes(s,1,2)+eye(4)) cholesky_inverse(s+4*eye(4)) det(s)
eig(s) eigh(s+swapaxes(s,1,2)) inv(s+5*eye(4)) lstsq(s[0]+5*eye(4),x[0]) lu_factor(s)
matrix_rank(s) pinv(s) qr(s) solve(s+5*eye(4),x) solve_triangular(s+5*eye(4),x,lower=True) svd(s)
logdet(s@swapaxes(s,1,2)+eye(4)) slogdet(s+5*eye(4)) rfft(signal) fft((signal,signal)) fft2((s,s))
ifft2((s,s)) irfft((signal,signal)) stft(signal,16,8,16) istft((x,x),10,4,10)
view_as_complex(reshape(x,(-1,4,3,2))) view_as_real(view_as_complex(reshape(x,(-1,4,3,2))))
Lambda(lambda a:cond(any(a>1),lambda:a+1,lambda:a*2))(x)
switch(ids[0,0]%3,[lambda a:a+1,lambda a:a*2,lambda a:-a],x)
while_loop(lambda k,a:k<3,lambda k,a:(k+1,a*2),(array(0),x))[1] fori_loop(0,3,lambda k,a:a+1,x)
scan(lambda c,a:(c+a,c*a),zeros((1,6)),swapaxes(x,0,1))[1] map(lambda a:a*2,x)
vectorized_map(lambda a:sum(a),x) associative_scan(lambda a,b:a+b,x,axis=1)
ops.image.resize(image,(4,4)) ops.image.resize(image,(16,16))
ops.image.resize(image,(16,16),interpolation='nearest')
ops.image.resize(image,(5,7),interpolation='bicubic') ops.image.resize(image,(5,7),antialias=True)
ops.image.resize(image,(5,7),interpolation='lanczos3') ops.image.rgb_to_grayscale(image)
ops.image.rgb_to_hsv(sigmoid(image)) ops.image.hsv_to_rgb(sigmoid(image))
ops.image.crop_images(image,top_cropping=1,left_cropping=2,target_height=4,target_width=5)
ops.image.pad_images(image,1,2,target_height=12,target_width=12)
ops.image.extract_patches(image,(2,2))
ops.image.extract_patches(image,(3,3),strides=1,padding='same')
ops.image.extract_patches_3d(volume,(2,2,2)) ops.image.gaussian_blur(image)
ops.image.sobel_edges(image) ops.image.ssim(sigmoid(image),sigmoid(image)*0.9,1.0,filter_size=3)
ops.image.map_coordinates(s[0],stack([v[0],w[0]]),1)
ops.image.map_coordinates(s[0],stack([v[0],w[0]]),0)
ops.image.affine_transform(image,ones((1,8))*convert_to_tensor([1.0,0.1,0.5,0.0,1.0,0.2,0.0,0.0]))
ops.image.perspective_transform(image,convert_to_tensor([[[0.0,0.0],[8.0,0.0],[0.0,8.0],[8.0,
8.0]]]),convert_to_tensor([[[1.0,0.0],[7.0,0.0],[0.0,7.0],[8.0,8.0]]]))
ops.image.elastic_transform(image,seed=1)
ops.image.scale_and_translate(image,(1,8,8,3),convert_to_tensor([1.5,1.5]),
convert_to_tensor([0.5,0.5]),(1,2),'linear') jvp(lambda a:a*a,(x,),(y,))
"""

LAYERS = """
Activation('relu')(x) Activation('gelu')(x) Activation('mish')(x) Activation('exponential')(x)
Activation('softmax')(x) ActivityRegularization(0.1)(x)+1 Add()([x,y]) Subtract()([x,y])
Multiply()([x,y]) Average()([x,y]) Maximum()([x,y]) Minimum()([x,y]) Concatenate()([x,y])
Concatenate(axis=1)([x,y]) Dot(axes=-1)([x,y]) Dot(axes=1)([x,y])
Dot(axes=-1,normalize=True)([x,y]) Dot(axes=1)([v,w]) AdditiveAttention()([x,y]) Attention()([x,y])
Attention(use_scale=True)([x,y,x]) Attention(score_mode='concat')([x,y])
Attention()([x,y],use_causal_mask=True) Attention()([x,y],mask=[flags,flags])
Attention()([x,y],return_attention_scores=True) AdditiveAttention()([x,y],mask=[flags,flags])
MultiHeadAttention(2,3)(x,y) MultiHeadAttention(2,3)(x,x,use_causal_mask=True)
MultiHeadAttention(2,3)(x,y,attention_mask=flags[:,None])
MultiHeadAttention(2,3)(x,y,return_attention_scores=True)
MultiHeadAttention(2,3,flash_attention=False)(x,x) GroupQueryAttention(3,4,2)(x,y)
GroupQueryAttention(3,4,2)(x,x,use_causal_mask=True) AlphaDropout(0.5)(x)+1 Dropout(0.5)(x)+1
GaussianDropout(0.5)(x)+1 GaussianNoise(0.5)(x)+1 SpatialDropout1D(0.5)(x)+1
SpatialDropout2D(0.5)(image)+1 SpatialDropout3D(0.5)(volume)+1 Identity()(x)+1
BatchNormalization()(x) BatchNormalization()(image) BatchNormalization(axis=1)(x)
GroupNormalization(3)(x) GroupNormalization(-1)(x) GroupNormalization(1)(image)
LayerNormalization()(x) LayerNormalization(axis=[1,2])(x) LayerNormalization(axis=1)(x)
LayerNormalization(rms_scaling=True)(x) RMSNormalization()(x) UnitNormalization()(x)
UnitNormalization(axis=1)(x) SpectralNormalization(Dense(3))(x)
Normalization(mean=1.0,variance=4.0)(x) Rescaling(2.0,1.0)(x) Bidirectional(LSTM(3))(x)
Bidirectional(GRU(3,return_sequences=True))(x) Bidirectional(LSTM(3),merge_mode='sum')(x)
Bidirectional(LSTM(3),merge_mode='ave')(x) Bidirectional(LSTM(3),merge_mode='mul')(x) LSTM(3)(x)
LSTM(3,return_state=True)(x) GRU(3)(x) GRU(3,reset_after=False)(x) SimpleRNN(3)(x)
RNN([LSTMCell(3),GRUCell(2)])(x)
RNN(StackedRNNCells([LSTMCell(3),SimpleRNNCell(2)]),return_sequences=True)(x) LSTM(3)(x,mask=flags)
LSTM(3,activation='gelu')(x) LSTM(3,activation='softsign',recurrent_activation='hard_sigmoid')(x)
GRU(3,activation='elu')(x) SimpleRNN(3,activation='mish')(x) ConvLSTM1D(2,3)(volume[:,:,:,0])
ConvLSTM1D(2,3,padding='same',return_sequences=True)(volume[:,:,:,0]) ConvLSTM2D(2,3)(frames)
ConvLSTM2D(2,3,padding='same',return_sequences=True)(frames)
ConvLSTM2D(2,3,go_backwards=True)(frames) ConvLSTM2D(2,3,return_state=True)(frames)
ConvLSTM3D(2,2)(volume[:,None]) Bidirectional(ConvLSTM2D(2,3))(frames) TimeDistributed(Dense(3))(x)
TimeDistributed(Conv2D(2,3))(frames) TimeDistributed(LSTM(3))(volume[:,:,:,0])
TimeDistributed(Dense(3))(Masking()(x)) Conv1D(2,3)(x) Conv1D(2,3,padding='same')(x)
Conv1D(2,3,padding='causal')(x) Conv1D(2,3,strides=2)(x)
Conv1D(2,3,dilation_rate=2,padding='causal')(x) Conv1D(4,3,groups=2)(x) Conv2D(2,3)(image)
Conv2D(2,3,strides=2,padding='same',activation='relu')(image) Conv2D(3,3,groups=3)(image)
Conv2D(2,3,dilation_rate=2)(image) Conv3D(2,2)(volume) Conv3D(2,2,padding='same')(volume)
Conv1DTranspose(2,3)(x) Conv1DTranspose(2,3,strides=2,padding='same')(x)
Conv2DTranspose(2,3)(image) Conv2DTranspose(2,3,strides=2,padding='same')(image)
Conv3DTranspose(2,2)(volume) Conv3DTranspose(2,2,strides=2,padding='same')(volume)
DepthwiseConv1D(3)(x) DepthwiseConv1D(3,padding='same',depth_multiplier=2)(x)
DepthwiseConv2D(3)(image) DepthwiseConv2D(3,strides=2,depth_multiplier=2)(image)
SeparableConv1D(2,3)(x) SeparableConv1D(2,3,padding='same')(x) SeparableConv2D(2,3)(image)
Conv1D(2,3,data_format='channels_first')(x)
Conv2D(2,3,data_format='channels_first')(transpose(image,(0,3,1,2))) AveragePooling1D(2)(x)
AveragePooling1D(3,1,padding='same')(x) AveragePooling2D(2)(image) AveragePooling3D(2)(volume)
MaxPooling1D(2)(x) MaxPooling1D(3,2,padding='same')(x) MaxPooling2D(3,2,padding='same')(image)
MaxPooling3D(2)(volume) GlobalAveragePooling1D()(x) GlobalAveragePooling1D()(x,mask=flags)
GlobalAveragePooling1D(keepdims=True)(x) GlobalAveragePooling2D()(image)
GlobalAveragePooling3D()(volume) GlobalMaxPooling1D()(x) GlobalMaxPooling2D()(image)
GlobalMaxPooling3D()(volume) AdaptiveAveragePooling1D(2)(x) AdaptiveAveragePooling2D(2)(image)
AdaptiveAveragePooling3D(2)(volume) AdaptiveMaxPooling1D(2)(x) AdaptiveMaxPooling2D(2)(image)
AdaptiveMaxPooling3D(2)(volume) Cropping1D(1)(x) Cropping2D(1)(image) Cropping3D(1)(volume)
ZeroPadding1D(1)(x) ZeroPadding1D((2,0))(x) ZeroPadding2D(1)(image) ZeroPadding3D(1)(volume)
UpSampling1D(2)(x) UpSampling2D(2)(image) UpSampling2D(2,interpolation='bilinear')(image)
UpSampling2D(2,interpolation='bicubic')(image) UpSampling3D(2)(volume) Flatten()(x)
Permute((2,1))(x) Reshape((3,8))(x) RepeatVector(3)(v) LSTM(2)(RepeatVector(3)(v)) Masking()(x)+1
LSTM(3)(Masking()(x)) Masking(mask_value=0.5)(x)+1 Embedding(5,3)(ids)
Embedding(5,3,mask_zero=True)(ids) LSTM(3)(Embedding(5,3,mask_zero=True)(ids))
ReversibleEmbedding(5,6)(x,reverse=True) ReversibleEmbedding(5,6)(ids) Dense(3)(x)
Dense(3,activation='softmax')(x) EinsumDense('abc,cd->abd',output_shape=(None,3))(x)
EinsumDense('abc,bcd->abd',output_shape=(4,3))(x)
EinsumDense('ab,bc->ac',output_shape=3,bias_axes='c')(v)
EinsumDense('...x,xy->...y',output_shape=3)(x) ELU()(x) LeakyReLU()(x) PReLU()(x)
PReLU(shared_axes=[1])(x) ReLU()(x) ReLU(max_value=2.0,negative_slope=0.1,threshold=0.5)(x)
Softmax()(x) Softmax()(x,mask=x>0) Softmax(axis=1)(x) Lambda(lambda a:a*2)(x)
Lambda(lambda a:argmax(a,axis=-1))(x) Lambda(lambda a:sort(a,axis=-1))(x)
CategoryEncoding(5,output_mode='one_hot')(ids) CategoryEncoding(5,output_mode='multi_hot')(ids)
CategoryEncoding(5,output_mode='count')(ids) Discretization([-1.0,0.0,1.0])(v)
Discretization([-1.0,0.0,1.0],output_mode='one_hot')(v) Hashing(5)(ids)
HashedCrossing(5)((ids[:,:1],i[:,:1])) IntegerLookup(vocabulary=[1,2,3])(ids)
CenterCrop(4,4)(image) Resizing(4,4)(image) Resizing(5,7,interpolation='bicubic')(image)
Resizing(16,16,interpolation='nearest')(image)
MelSpectrogram(16,8,16,num_mel_bins=4,sampling_rate=64)(signal)
STFTSpectrogram('magnitude',16,8)(signal[:,:,None]) STFTSpectrogram('log',16,8)(signal[:,:,None])
STFTSpectrogram('angle',16,8)(signal[:,:,None]) STFTSpectrogram('real',16,8)(signal[:,:,None])
RandomFlip()(image)+1 RandomRotation(0.1)(image)+1 RandomZoom(0.1)(image)+1
RandomTranslation(0.1,0.1)(image)+1 RandomContrast(0.1)(image)+1 RandomBrightness(0.1)(image)+1
RandomCrop(4,4)(image)+1 RandomGrayscale()(image)+1 RandomHue(0.1)(image)+1
RandomSaturation(0.1)(image)+1 RandomSharpness(0.1)(image)+1 RandomShear(0.1,0.1)(image)+1
RandomInvert()(image)+1 RandomErasing()(image)+1 RandomGaussianBlur()(image)+1
RandomPerspective()(image)+1 RandomPosterization(4)(image)+1 RandomColorDegeneration(0.1)(image)+1
RandomColorJitter()(image)+1 RandomElasticTransform()(image)+1 RandAugment()(image)+1
AugMix()(image)+1 AutoContrast()(image) Equalization()(image)+1 Solarization(0.1)(image)+1
ContrastLimitedAdaptiveHistogramEqualization()(image)
Pipeline([Rescaling(2.0),Rescaling(3.0)])(image)
"""

# Public names that stand in no expression, and why.
LEFT_OUT = {
    "is no function of tensors": "convert_to_numpy is_tensor Input InputLayer InputSpec Layer "
    "Wrapper deserialize serialize custom_gradient empty vectorize ndim",
    "takes text: encode it before the model": "StringLookup TextVectorization",
    "takes labels or boxes, in training": "CutMix MixUp MaxNumBoundingBoxes",
    "runs another framework's model": "FlaxLayer JaxLayer TFSMLayer TorchModuleWrapper",
    "is another name of a layer above": "AvgPool1D AvgPool2D AvgPool3D MaxPool1D MaxPool2D "
    "MaxPool3D GlobalAvgPool1D GlobalAvgPool2D GlobalAvgPool3D GlobalMaxPool1D GlobalMaxPool2D "
    "GlobalMaxPool3D Convolution1D Convolution2D Convolution3D Convolution1DTranspose "
    "Convolution2DTranspose Convolution3DTranspose SeparableConvolution1D SeparableConvolution2D",
}

# What converts and answers otherwise -> why, and what helps.
DIFFER = {
    "top_k(x,2,sorted=False)[0]": (
        "it answers the same entries in another order, which TensorFlow leaves open",
        "Ask for sorted=True, the default.",
    ),
}

GROUPS = (
    ("Element by element", ELEMENTWISE, "(x)"),
    ("Whole numbers", INTEGER, "(i)"),
    ("Two tensors", BINARY, "(x,y)"),
    ("Along an axis", REDUCTION, "(x)"),
    ("Shapes and indices", SHAPE, "(x)"),
    ("Networks, matrices, images, control flow", NN, "(x)"),
    ("Layers", LAYERS, "(x)"),
)


def _split(text: str) -> list[str]:
    """Splits at white space outside brackets and quotes; lines may end within brackets."""
    found, depth, quote, word = [], 0, "", ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        if letter.isspace() and not depth and not quote:
            found += [word] * bool(word)
            word = ""
        elif letter != "\n":
            word += letter
    return found + [word] * bool(word)


def expressions() -> dict[str, str]:
    """Returns each expression -> the group that it belongs to; a bare name is called on `x`."""
    return {
        word + default if word.isidentifier() else word: group
        for group, text, default in GROUPS
        for word in _split(text)
    }


def build(expression: str):
    """Returns the model that answers what the expression says, with random weights."""
    import keras

    keras.utils.set_random_seed(0)
    names = {**vars(keras.layers), **vars(keras.ops), "ops": keras.ops, "np": np}
    used = [name for name in INPUTS if re.search(rf"\b{name}\b", expression)]
    inputs = [keras.Input(INPUTS[name][0], dtype=INPUTS[name][1], name=name) for name in used]
    outputs = eval(expression, {**names, **dict(zip(used, inputs, strict=True))})
    symbolic = [t for t in keras.tree.flatten(outputs) if isinstance(t, keras.KerasTensor)]
    model = keras.Model(inputs, symbolic)
    generator = np.random.default_rng(1)
    for variable in model.variables:
        if "seed" not in variable.path and "float" in str(variable.dtype):
            low = 0.5 if variable.path.endswith("variance") else -0.8
            variable.assign(generator.uniform(low, 1.2, variable.shape))
    return model


def rows(model, count: int = 6) -> list[dict[str, np.ndarray]]:
    """Returns inputs of batch 1 with ties, negative numbers and zeros among them."""
    generator = np.random.default_rng(0)
    made = {}
    for tensor in model.inputs:
        shape, dtype = (count, 1, *tensor.shape[1:]), str(tensor.dtype)
        if dtype == "float32":
            values = generator.normal(0, 1.5, shape)
            values[::2] = np.rint(values[::2])
        elif dtype == "bool":
            values = generator.integers(0, 2, shape)
        else:
            values = generator.integers(0 if tensor.name == "ids" else -6, 5, shape)
        made[tensor.name] = values.astype(dtype)
    return [{name: values[row] for name, values in made.items()} for row in range(count)]


@contextlib.contextmanager
def _recorded():
    """Yields the types of the ops that are replaced until the block ends."""
    from keras_rnn_zoo.export.lowering.device_ops import REPLACEMENTS

    def recorded(kind, replacement):
        def record(*arguments):
            outputs = replacement(*arguments)
            if outputs is not None:
                seen.add(kind)
            return outputs

        return record

    seen, before = set(), dict(REPLACEMENTS)
    REPLACEMENTS.update({kind: recorded(kind, one) for kind, one in before.items()})
    try:
        yield seen
    finally:
        REPLACEMENTS.update(before)


def outcome(expression: str) -> dict[str, Any]:
    """Exports one expression in float32, and compares the file with Keras.

    Returns:
        `status`: `"works"`, `"replaced"` (and `by`, the TensorFlow ops), `"refused"` or `"differs"`
        (and `why` and `helps`), `"no model"` (Keras itself does not build it), or `"not here"`
        (TensorFlow does not run it on this processor).
    """
    import tensorflow as tf

    from keras_rnn_zoo.errors import ConversionError, OpGateError
    from keras_rnn_zoo.export.convert import converter
    from keras_rnn_zoo.export.convert.write import Form, write
    from keras_rnn_zoo.export.diagnose.known_failures import remedy
    from keras_rnn_zoo.export.keras_model.model import KerasModel
    from keras_rnn_zoo.export.quantization import QUANTIZATIONS

    try:
        model = build(expression)
    except Exception as error:
        return {"status": "no model", "why": f"{type(error).__name__}: {error}"}
    with tempfile.TemporaryDirectory() as scratch, converter.in_this_process():
        try:
            with _recorded() as replaced:
                form = Form(QUANTIZATIONS.get("none"), "loop")
                ready = KerasModel(model)
                path = write(ready, form.plan(ready), Path(scratch), form, None).path
        except (ConversionError, OpGateError) as error:
            blamed = re.search(r"calling (\w+)\.call", getattr(error, "log", ""))
            kinds = {type(one).__name__: one for one in model.operations}
            why, helps = remedy(error, kinds.get(blamed[1]) if blamed else None)
            # What Keras counts differs from one order of the expressions to the next.
            return {"status": "refused", "why": re.sub(r"_\d+", "", why), "helps": helps}
        try:
            difference = _difference(model, path, _tolerance(expression))
        except tf.errors.UnimplementedError as error:  # kernels differ from processor to processor
            return {"status": "not here", "why": str(error)}
    if difference is not None:
        why, helps = DIFFER.get(expression, (difference, ""))
        return {"status": "differs", "why": why, "helps": helps}
    if replaced:
        return {"status": "replaced", "by": sorted(replaced)}
    return {"status": "works"}


def _tolerance(expression: str) -> float:
    """Two roundings of what Keras computes with: 8 bits, 11 or 24."""
    if "bfloat16" in expression:
        return 1e-2
    return 4e-3 if "float16" in expression else 1e-5


def _difference(model, path: Path, tolerance: float) -> str | None:
    """Says in what the file answers otherwise than Keras; None where it does not.

    A float may be off by the tolerance times its value, or times 1: in float32 a few dozen
    roundings.
    """
    import keras

    from keras_rnn_zoo.export.keras_model.model import KerasModel
    from keras_rnn_zoo.export.tflite.interpreter import TFLiteModel

    file = TFLiteModel(path)
    for one in rows(model):
        file.set_inputs(one)
        try:
            answers = file.invoke()
        except RuntimeError as error:
            return f"the interpreter stops: {error}"
        given = [keras.ops.convert_to_tensor(one[tensor.name]) for tensor in model.inputs]
        said = model(given if len(given) > 1 else given[0], training=False)
        for name, tensor in zip(KerasModel(model).outputs, keras.tree.flatten(said), strict=True):
            ours, theirs = answers[name], np.asarray(tensor)
            if (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
                return f"{ours.dtype}{list(ours.shape)} for {theirs.dtype}{list(theirs.shape)}"
            if ours.dtype.kind != "f" and ours.dtype.name != "bfloat16":
                if not np.array_equal(ours, theirs):
                    return f"{ours.ravel()[:8]} for {theirs.ravel()[:8]}"
                continue
            ours, theirs = ours.astype(np.float64), theirs.astype(np.float64)
            finite = np.isfinite(theirs)
            if not np.array_equal(ours[~finite], theirs[~finite], equal_nan=True):
                return f"{ours[~finite][:8]} for {theirs[~finite][:8]}"
            ours, theirs = ours[finite], theirs[finite]
            off = np.abs(ours - theirs) / np.maximum(1, np.abs(theirs))
            if not off.max(initial=0) <= tolerance:
                return f"off by {off.max():.2g}"
    return None


def sweep(wanted: Iterable[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields each expression and its outcome, from a child process whose crash is one, too."""
    child: subprocess.Popen[str] | None = None
    try:
        for expression in wanted:
            if child is None:
                child = subprocess.Popen(
                    [sys.executable, __file__],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.DEVNULL,
                    text=True,
                    env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"},
                )
            child.stdin.write(json.dumps(expression) + "\n")
            child.stdin.flush()
            line = child.stdout.readline()
            if line:
                yield expression, json.loads(line)
            else:
                yield expression, {"status": "crashed", "why": f"exit code {child.wait()}"}
                child = None
    finally:
        if child is not None:
            child.kill()
            child.wait()


def markdown(outcomes: dict[str, dict[str, Any]]) -> str:
    """Returns the outcomes as a page of the documentation."""
    count = Counter(outcome["status"] for outcome in outcomes.values())
    parts = [
        "# Keras ops and layers in a .tflite file",
        "Written by `python benchmarks/keras_ops.py -o docs/keras-ops.json`; "
        "`tests/export/test_keras_ops.py` holds it against reality.",
        "Each expression is a model by itself, exported in float32 and compared with Keras on rows "
        "with ties, zeros and negative numbers. `x` and `y` are `[batch, 4, 6]`, `v` and `w` "
        "`[batch, 6]`, `i` and `j` int32 `[batch, 6]`; functions are those of `keras.ops`, classes "
        "those of `keras.layers`.",
        f"{count['works']} work as they are. {count['replaced']} work because ops that TensorFlow "
        "Lite lacks, or computes otherwise, are replaced while the model is traced for the export, "
        "wherever they stand: in a functional model, a layer, a `Lambda`, a cell, or plain `tf` "
        "code (`export/device_ops/`). The other "
        f"{count['refused'] + count['differs']} are refused: by the converter or, where the file "
        "would answer otherwise, by the verification.",
    ]
    groups = expressions()
    for group, *_ in GROUPS:
        own = {e: o for e, o in outcomes.items() if groups.get(e) == group}
        parts.append(f"## {group}")
        works = [_code(e) for e, o in own.items() if o["status"] == "works"]
        parts.append("As they are: " + ", ".join(works) + ".")
        replaced: dict[str, list[str]] = {}
        refused: dict[tuple[str, str], list[str]] = {}
        for expression, outcome in own.items():
            if outcome["status"] == "replaced":
                ops = ", ".join(outcome["by"])
                replaced.setdefault(ops, []).append(_code(expression))
            elif outcome["status"] != "works":
                reason = (outcome["why"], outcome.get("helps", ""))
                refused.setdefault(reason, []).append(_code(expression))
        if replaced:
            lines = ["| replaced | in |", "| --- | --- |"]
            parts.append(
                "\n".join(lines + [f"| {k} | {', '.join(v)} |" for k, v in replaced.items()])
            )
        if refused:
            lines = ["| refused | why | what helps |", "| --- | --- | --- |"]
            parts.append(
                "\n".join(
                    lines
                    + [
                        f"| {', '.join(v)} | {_cell(why)} | {_cell(helps)} |"
                        for (why, helps), v in refused.items()
                    ]
                )
            )
    parts.append("## Not tried")
    parts.append(
        "\n".join(
            f"- {', '.join(_code(name) for name in names.split())}: {reason}."
            for reason, names in LEFT_OUT.items()
        )
    )
    return "\n\n".join(parts) + "\n"


def _code(expression: str) -> str:
    return "`" + expression.replace("|", "\\|") + "`"


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _work() -> None:
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(outcome(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    _work()
